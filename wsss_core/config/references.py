"""References to variants that exist, but cannot serve."""

from collections.abc import Iterable

from wsss_core.config.cams import SeenetCams
from wsss_core.config.refinement import Irn
from wsss_core.config.root import Config

RESIDUAL = "resnet18, resnet34, resnet50, resnet101 or resnet_small"


def unfit_references(config: Config) -> Iterable[str]:
    """A line for each reference, in any variant, to one that cannot serve it."""
    circular = False
    for name in config.classifiers:
        if circle := _circle(config, name):
            circular = True
            yield f"classifiers.{name}: needs itself to be trained first: {' -> '.join(circle)}"
    if circular:
        return
    for name, classifier in config.classifiers.items():
        if classifier.start_from is None:
            continue
        own = config.backbones[classifier.backbone]
        other = config.backbones[config.classifiers[classifier.start_from].backbone]
        if own.network != other.network:
            yield (
                f"classifiers.{name}.start_from: '{classifier.start_from}' is a {other.network}; this classifier's "
                f"backbone is a {own.network}, which its weights do not fit"
            )
        elif own.pixels != other.pixels:
            yield (
                f"classifiers.{name}.start_from: '{classifier.start_from}' sees pixels: {other.pixels}, this "
                f"classifier's backbone pixels: {own.pixels}"
            )
    yield from _unfit_trunks(config)
    for name, cams in config.cams.items():
        objective = getattr(config.classifiers[cams.classifier], "objective")  # noqa: B009  every subclass has one
        if isinstance(cams, SeenetCams) and objective != "seenet":
            yield (
                f"cams.{name}.classifier: method seenet needs a classifier with objective 'seenet'; "
                f"'{cams.classifier}' has '{objective}'"
            )


def _unfit_trunks(config: Config) -> Iterable[str]:
    """Affinities whose trunk their method has no use for."""
    for name, affinity in config.affinities.items():
        if isinstance(affinity, Irn):
            key = "classifier" if affinity.backbone is None else "backbone"
            variant = affinity.backbone or config.classifiers[str(affinity.classifier)].backbone
            network = config.backbones[variant].network
            if network.startswith(("resnet38", "vgg16")):
                yield f"affinities.{name}.{key}: method irn needs a residual trunk ({RESIDUAL}); this one is {network}"


def _circle(config: Config, start: str) -> list[str]:
    """The way from a classifier over those it needs back to itself; empty if there is none."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for field in ("start_from", "ordinary"):
            needed = getattr(config.classifiers[way[-1]], field, None)
            if needed == start:
                return [*way, start]
            if needed is not None and needed not in seen:
                seen.add(needed)
                ways.append([*way, needed])
    return []
