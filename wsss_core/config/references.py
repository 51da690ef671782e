"""References between variants: which ones an experiment uses, and which ones do not fit."""

from collections.abc import Iterable

from wsss_core.config.cams import Cams, ClassAttentionCams, ClipGradcamCams, SeenetCams
from wsss_core.config.classifiers import Classifier, SeenetClassifier
from wsss_core.config.extensions import source_of
from wsss_core.config.networks import patch_of
from wsss_core.config.refinement import AttentionAffinity
from wsss_core.config.root import Config
from wsss_core.config.sections import REFERENCES
from wsss_core.config.segmentation import LargeFov, has_fully_connected
from wsss_core.config.token_classifiers import ClipClassifier, MctformerClassifier

CLASSIFIER_OF: dict[type[Cams], type[Classifier]] = {
    SeenetCams: SeenetClassifier,
    ClassAttentionCams: MctformerClassifier,
    ClipGradcamCams: ClipClassifier,
}
"""CAM methods that need more than class maps, and the classifiers that have it; an extension may derive from these."""
OF_TOKENS = (MctformerClassifier, ClipClassifier)
"""Classifiers that use a vision transformer's tokens."""


def unfit_references(config: Config) -> Iterable[str]:
    """A line for each reference, in any variant, to a variant that does not fit."""
    circles = {name: circle for name in config.classifiers if (circle := _circle(config, name))}
    for name, circle in circles.items():
        yield f"classifiers.{name}: needs itself to be trained first: {' -> '.join(circle)}"
    if circles:
        return
    for name, classifier in config.classifiers.items():
        yield from (f"classifiers.{name}.start_from: {fault}" for fault in _unfit_start(config, classifier))
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
        yield from (f"cams.{name}.{fault}" for fault in _unfit_cams(config, cams))


def _unfit_start(config: Config, classifier: Classifier) -> Iterable[str]:
    """What is wrong with the classifier that a classifier starts from, if anything is."""
    if classifier.start_from is None:
        return
    own = config.backbones[classifier.backbone]
    other = config.backbones[config.classifiers[classifier.start_from].backbone]
    if (own.network, own.model) != (other.network, other.model):
        yield (
            f"'{classifier.start_from}' is a {other.model or other.network}; this classifier's backbone is a "
            f"{own.model or own.network}, which its weights do not fit"
        )
    elif isinstance(classifier, ClipClassifier):
        yield "objective clip starts only from its 'weights'"
    elif own.pixels != other.pixels:
        yield (
            f"'{classifier.start_from}' has pixels: {other.pixels}, but this classifier's backbone has pixels: "
            f"{own.pixels}"
        )


def _unfit_cams(config: Config, cams: Cams) -> Iterable[str]:
    """What is wrong with the classifier of CAMs, if anything is."""
    classifier = config.classifiers[cams.classifier]
    objective = _objective(classifier)
    needed = next((wanted for kind, wanted in CLASSIFIER_OF.items() if isinstance(cams, kind)), Classifier)
    if not isinstance(classifier, needed):
        method = cams.method  # type: ignore[attr-defined]
        wanted = needed.model_fields["objective"].default
        yield (
            f"classifier: method {method} needs a classifier with objective '{wanted}'; '{cams.classifier}' has "
            f"'{objective}'"
        )
    elif isinstance(classifier, ClipClassifier) and not isinstance(cams, ClipGradcamCams) and source_of(cams) is None:
        yield f"method: '{cams.classifier}' has objective 'clip', which has no class maps of its own; use clip_gradcam"
    elif isinstance(classifier, OF_TOKENS) and cams.arithmetic == "bfloat16":
        yield f"arithmetic: bfloat16 is not for a classifier with objective '{objective}'; use float32"


def _objective(classifier: Classifier) -> str:
    return getattr(classifier, "objective")  # type: ignore[no-any-return]  # noqa: B009  every subclass has one


def _unfit_transformer(config: Config, classifier: Classifier) -> Iterable[str]:
    """What is wrong with the backbone, the crop or the texts of a classifier that uses tokens, if anything is."""
    if not isinstance(classifier, OF_TOKENS):
        return
    trunk = config.backbones[classifier.backbone]
    patch = patch_of(trunk)
    if patch is None:
        yield (
            f"backbone: objective {_objective(classifier)} needs a vision transformer, such as {{network: timm, model: "
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
            f"augmentation.crop: {classifier.augmentation.crop} pixels are not a multiple of the patches of "
            f"'{classifier.backbone}', {patch} pixels"
        )


def used_variants(config: Config, experiment: str) -> set[tuple[str, str]]:
    """Section and name of the experiment and of all variants that it uses, directly or through others."""
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
    """The way from a classifier through those it needs back to itself; empty if there is none."""
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
