"""References to variants that exist, but cannot serve."""

from collections.abc import Iterable

from wsss_core.config.cams import SeenetCams
from wsss_core.config.root import Config
from wsss_core.config.segmentation import LargeFov, has_fully_connected


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
        if (own.network, own.model) != (other.network, other.model):
            yield (
                f"classifiers.{name}.start_from: '{classifier.start_from}' is a {other.model or other.network}; this "
                f"classifier's backbone is a {own.model or own.network}, which its weights do not fit"
            )
        elif own.pixels != other.pixels:
            yield (
                f"classifiers.{name}.start_from: '{classifier.start_from}' sees pixels: {other.pixels}, this "
                f"classifier's backbone pixels: {own.pixels}"
            )
    for name, segmenter in config.segmenters.items():
        if isinstance(segmenter, LargeFov) and segmenter.fully_connected == "vgg16":
            backbone = segmenter.backbone or config.classifiers[segmenter.classifier or ""].backbone
            if not has_fully_connected(config.backbones[backbone]):
                yield (
                    f"segmenters.{name}.fully_connected: vgg16 is for a trunk that starts from torchvision's file of "
                    f"VGG-16 (network: vgg16, weights: imagenet), and backbones.{backbone} does not"
                )
    for name, cams in config.cams.items():
        objective = getattr(config.classifiers[cams.classifier], "objective")  # noqa: B009  every subclass has one
        if isinstance(cams, SeenetCams) and objective != "seenet":
            yield (
                f"cams.{name}.classifier: method seenet needs a classifier with objective 'seenet'; "
                f"'{cams.classifier}' has '{objective}'"
            )


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
