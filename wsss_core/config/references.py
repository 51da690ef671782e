"""References of variants to others: what an experiment leads to, and what cannot serve."""

from collections.abc import Iterable

from wsss_core.config.cams import Cams, ClassAttentionCams, ClipGradcamCams, SeenetCams
from wsss_core.config.classifiers import Classifier, ClipClassifier, MctformerClassifier
from wsss_core.config.extensions import source_of
from wsss_core.config.networks import patch_of
from wsss_core.config.refinement import AttentionAffinity
from wsss_core.config.root import REFERENCES, Config
from wsss_core.config.segmentation import LargeFov, has_fully_connected

OBJECTIVE_OF: dict[type[Cams], str] = {
    SeenetCams: "seenet",
    ClassAttentionCams: "mctformer",
    ClipGradcamCams: "clip",
}
"""CAM methods that look at more than class maps, and the objective whose classifier has that."""
OF_TOKENS = ("mctformer", "clip")
"""Objectives whose classifiers look at a vision transformer's tokens."""


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
        elif getattr(classifier, "objective") == "clip":  # noqa: B009
            yield f"classifiers.{name}.start_from: objective clip has its 'weights' alone"
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
    for name, classifier in config.classifiers.items():
        yield from (f"classifiers.{name}.{fault}" for fault in _unfit_transformer(config, classifier))
    for name, affinity in config.affinities.items():
        trunk = affinity.backbone if isinstance(affinity, AttentionAffinity) else None
        if trunk is not None and config.backbones[trunk].weights == "scratch":
            yield (
                f"affinities.{name}.backbone: '{trunk}' has weights: scratch, and nothing is trained here; give a "
                "'classifier', or the backbone weights"
            )
    for name, cams in config.cams.items():
        objective = getattr(config.classifiers[cams.classifier], "objective")  # noqa: B009  every subclass has one
        needed = next((wanted for kind, wanted in OBJECTIVE_OF.items() if isinstance(cams, kind)), objective)
        if objective != needed:
            method = cams.method  # type: ignore[attr-defined]
            yield (
                f"cams.{name}.classifier: method {method} needs a classifier with objective '{needed}'; "
                f"'{cams.classifier}' has '{objective}'"
            )
        elif objective == "clip" and not isinstance(cams, ClipGradcamCams) and source_of(cams) is None:
            yield (
                f"cams.{name}.method: '{cams.classifier}' has objective 'clip', which has no class maps of its own; "
                "its method is clip_gradcam"
            )
        elif objective in OF_TOKENS and cams.arithmetic == "bfloat16":
            yield f"cams.{name}.arithmetic: bfloat16 is not for a classifier with objective '{objective}'; use float32"


def _unfit_transformer(config: Config, classifier: Classifier) -> Iterable[str]:
    """What is wrong with the backbone or the crop of a classifier of tokens, if anything is."""
    if getattr(classifier, "objective") not in OF_TOKENS:  # noqa: B009
        return
    trunk = config.backbones[classifier.backbone]
    patch, objective = patch_of(trunk), getattr(classifier, "objective")  # noqa: B009
    if patch is None:
        yield (
            f"backbone: objective {objective} needs a vision transformer, such as {{network: timm, model: "
            f"deit_small_patch16_224}}; '{classifier.backbone}' is a {trunk.model or trunk.network}"
        )
    elif isinstance(classifier, ClipClassifier):
        known = config.dataset.class_names
        unknown = [name for name in classifier.descriptions if known is not None and name not in known]
        if unknown:
            yield f"descriptions: the data set has no class '{unknown[0]}'; it has {', '.join(known or ())}"
        both = [text for text in classifier.background if known is not None and text in known]
        if both:
            yield f"background: '{both[0]}' is a class of the data set, and would compete with itself; leave it out"
    elif isinstance(classifier, MctformerClassifier) and classifier.augmentation.crop % patch:
        yield (
            f"augmentation.crop: {classifier.augmentation.crop} pixels are not made of whole patches of {patch}, which "
            f"'{classifier.backbone}' has"
        )


def used_variants(config: Config, experiment: str) -> set[tuple[str, str]]:
    """Section and name of all variants that an experiment's settings lead to, and its own."""
    used: set[tuple[str, str]] = set()
    found = [("experiments", experiment)]
    while found:
        section, name = found.pop()
        used.add((section, name))
        variant = getattr(config, section)[name]
        for key, target in REFERENCES.get(section, {}).items():
            reference = getattr(variant, key, None)
            if reference is not None and (target, reference) not in used:
                found.append((target, reference))
    return used


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
