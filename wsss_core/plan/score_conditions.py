"""The conditions of a score, in words next to the figure: how its label maps were made."""

from collections.abc import Mapping, Sequence
from typing import Any

from wsss_core.config import Experiment
from wsss_core.config.averaging import Averaging
from wsss_core.config.background import BackgroundScore, PseudoLabelBackground, Threshold
from wsss_core.config.refinement import PseudoLabels
from wsss_core.plan.artifacts import Artifact, drawn_maps, refinement_of
from wsss_core.plan.background_in_words import background_in_words
from wsss_core.plan.weights_in_words import initialisation_in_words

WITH_SALIENCY = ", saliency maps"
"""Follows labels that saliency maps were used for."""
_UNUSED = Threshold(best_on="train")
"""Any threshold, for a seed's threshold that the words do not contain."""
CONDITIONS = {
    "split": "split",
    "background": "background begins at",
    "seen_at": "sees",
    "crf": "CRF",
    "without_label": "without label",
    "labels": "labels used",
    "initialisation": "starts from",
}
"""Columns of every table of scores that say how the scored maps were made, and their headings."""
ANY_THRESHOLD = "the row's threshold"
"""The background of class maps, which are scored at every threshold."""


def score_conditions(artifact: Artifact, scored_list: str | None = None, scored_val: str = "all") -> dict[str, str]:
    """Conditions of the scores of an artifact's maps.

    Args:
        artifact: of the stage ``cams``, ``walked_cams``, ``refined_seeds``, ``pseudo_labels`` or ``predictions``.
        scored_list: the list of the training images that are scored (``dataset.score_on``); None: all.
        scored_val: the validation images that are scored (``dataset.score_val``): ``all`` or ``with_objects``.

    Returns:
        By column of ``CONDITIONS``: ``split`` (with its list, if that has another name, and the size that its images
        were shrunk to, see :func:`shrunken_in_words`), ``background`` (its score and where that comes from;
        ``{threshold}`` is filled in once it is chosen, by :func:`wsss_core.plan.background_in_words.fill_in`),
        ``seen_at`` (scales and mirror images), ``crf`` (on the scored maps themselves), ``without_label`` (which pixels
        have none; only for pseudo labels), ``labels`` (what networks were trained on) and ``initialisation``.
    """
    if artifact.stage == "predictions":
        segmenter = artifact.upstream["segmenter"]
        labels = segmenter.upstream.get("labels")
        pseudo = labels is not None and labels.stage == "pseudo_labels"
        return {
            "split": _split_in_words(artifact, "val") + (", images with objects" if scored_val != "all" else ""),
            # A network that is trained on pseudo labels inherits the way in which their threshold was chosen.
            "background": f"its labels': {_background_of(labels)}" if labels is not None and pseudo else "learned",
            "seen_at": _seen_at(artifact.parameters, segmenter.parameters.get("input_scales", ())),
            "crf": _crf_in_words(artifact),
            "labels": _trained_with(segmenter),
            "initialisation": initialisation_in_words(segmenter),
        }
    maps = artifact if artifact.stage in ("cams", "walked_cams") else _maps_of(artifact)
    cams = maps if maps.stage == "cams" else maps.upstream["cams"]
    conditions = {
        "split": _split_in_words(artifact, "train", scored_list),
        "background": _background_of(artifact),
        "seen_at": _seen_at(cams.parameters) + ("" if drawn_maps(cams) is cams else ", classes balanced"),
        "crf": _crf_in_words(artifact),
    }
    if artifact.stage == "pseudo_labels":
        conditions["without_label"] = _without_label(PseudoLabels(**artifact.parameters["pseudo_labels"]))
    starts = initialisation_in_words(cams.upstream["classifier"])
    if maps is not cams and "affinity" in maps.upstream:
        starts += f"; affinity: {initialisation_in_words(maps.upstream['affinity'])}"
    described = f"image labels{_with_saliency(artifact)}{_joined_with(artifact)}"
    return {**conditions, "labels": described, "initialisation": starts}


def subset_conditions(threshold: Artifact) -> dict[str, str]:
    """Conditions of the scores on a list of images that a threshold is chosen with; see :func:`score_conditions`."""
    maps = threshold.upstream["maps"]
    split = f"the images of {threshold.parameters['subset']}{shrunken_in_words(maps)}"
    return {**score_conditions(maps), "split": split}


def shrunken_in_words(artifact: Artifact) -> str:
    """What follows the split that an artifact is scored on: nothing unless large images were shrunk."""
    long_side = artifact.upstream["dataset"].parameters.get("long_side")
    return "" if long_side is None else f", images shrunk to {long_side} pixels"


def _maps_of(artifact: Artifact) -> Artifact:
    """The class maps that label maps are made from."""
    return artifact.upstream["cams" if artifact.stage == "refined_seeds" else "maps"]


def _background_of(artifact: Artifact) -> str:
    parameters = artifact.parameters
    if artifact.stage == "cams":
        return ANY_THRESHOLD
    if artifact.stage == "walked_cams":
        alpha = parameters["walked_alpha"]
        if alpha is None:
            return ANY_THRESHOLD
        return background_in_words(PseudoLabelBackground(walked_alpha=alpha), _UNUSED)
    seed = _choice(artifact, "seed_threshold", parameters["seed_threshold"])
    if artifact.stage == "refined_seeds":
        return background_in_words(BackgroundScore(**parameters["background"]), seed)
    return background_in_words(PseudoLabels(**parameters["pseudo_labels"]).background, seed)


def _without_label(settings: PseudoLabels) -> str:
    """Which pixels pseudo labels leave without a label."""
    thresholds = None if settings.pamr is None else settings.pamr.class_thresholds
    if thresholds is not None:
        return f"no class, or several, above {thresholds.objects:g} of their highest score"
    return "none" if settings.unsure_below is None else f"below {settings.unsure_below:g}"


def _crf_in_words(artifact: Artifact) -> str:
    """Whether the scored maps had a CRF, or what they had instead."""
    refinement = refinement_of(artifact)
    if isinstance(refinement, Averaging):
        return f"no, {type(refinement).__name__.upper()}"
    return "no" if refinement is None else "yes"


def _with_saliency(pseudo_labels: Artifact | None) -> str:
    """What follows labels that saliency maps were used for; nothing for others."""
    return WITH_SALIENCY if pseudo_labels is not None and "saliency" in pseudo_labels.upstream else ""


def _joined_with(pseudo_labels: Artifact | None) -> str:
    """What follows labels that were joined with masks of segments; nothing for others."""
    masks = None if pseudo_labels is None else pseudo_labels.upstream.get("sam_masks")
    return "" if masks is None else f", joined with the masks of {masks.parameters['folder']}"


def _split_in_words(artifact: Artifact, split: str, scored_list: str | None = None) -> str:
    dataset, shrunken = artifact.upstream["dataset"].parameters, shrunken_in_words(artifact)
    if scored_list is not None:
        return f"the images of {scored_list}{'.txt' if dataset['format'] == 'voc' else ''}{shrunken}"
    if dataset["format"] == "folder":
        drawn = f"{dataset['val_share']:g} of the images, seed {dataset['split_seed']}"
        return f"{split} (of splits.csv, or else val is {drawn}){shrunken}"
    image_list = dataset["splits"][split]
    file = f"instances_{image_list}.json" if dataset["format"] == "coco" else f"{image_list}.txt"
    return (split if image_list == split else f"{split} ({file})") + shrunken


def _seen_at(parameters: Mapping[str, Any], network_scales: Sequence[float] = ()) -> str:
    """The sizes at which the network sees images; an extension's method may have no scales."""
    size = parameters.get("size")
    words = [f"{size} x {size} pixels"] if size else []
    if "scales" in parameters:
        words.append(f"scales {' '.join(f'{scale:g}' for scale in parameters['scales'])}")
    if network_scales:
        words.append(f"the network adds {' '.join(f'{scale:g}' for scale in network_scales)}")
    # AdvCAM's climb always goes with the mirrored image.
    mirrored = parameters.get("flip", parameters.get("method") == "advcam")
    return ", ".join(words or ["as its method does"]) + (" and mirrored" if mirrored else "")


def _trained_with(segmenter: Artifact) -> str:
    """The labels that a segmenter was trained with, how they were mixed, and the weight of each part."""
    mixed = segmenter.parameters.get("masks_of") or {}
    consistency = segmenter.parameters.get("consistency") or {}
    share, weight = mixed.get("share"), mixed.get("pseudo_weight", 1)
    of_masks, of_pseudo = [], []
    if mixed and "labels" in segmenter.upstream:
        of_masks, of_pseudo = ["weight 1"], [f"weight {weight:g}"]
    if share is not None:
        of_masks.append(f"{share:g} of each step")
    if consistency.get("pseudo_weight"):
        of_pseudo.append(f"{consistency['pseudo_weight']:g} in the auxiliary decoders")
    labels = segmenter.upstream.get("labels")
    pseudo = f"pseudo labels {{variant}}{_with_saliency(labels)}{_joined_with(labels)}{_in_brackets(of_pseudo)}"
    words = _labels_of(segmenter, _in_brackets(of_masks), pseudo)
    return f"{words}; cross-consistency (weight {consistency['weight']:g})" if consistency else words


def _in_brackets(words: Sequence[str]) -> str:
    return f" ({', '.join(words)})" if words else ""


def _labels_of(segmenter: Artifact, listed: str, pseudo: str) -> str:
    """Masks, pseudo labels or both; ``listed`` follows a list of masks, ``pseudo`` is for pseudo labels."""
    upstream = segmenter.upstream
    words = []
    if "corrected_masks" in upstream:
        words.append(f"corrected masks of {upstream['corrected_masks'].parameters['folder']}{listed}")
    if "listed_masks" in upstream:
        words.append(f"masks of {upstream['listed_masks'].parameters['subset']}{listed}")
    if "labels" in upstream:
        labels = upstream["labels"]
        words.append("masks" if labels.stage == "masks" else pseudo.format(variant=labels.variant))
    elif words and segmenter.parameters.get("consistency"):
        words.append("others without label")
    return ", ".join(words) or "not trained here"


def labels_in_words(experiment: Experiment, segmenter: Artifact | None) -> str:
    """What an experiment's segmenter is trained on, in short; without a segmenter, what it would be trained on.

    Returns:
        ``pseudo``, ``masks`` (of all training images), ``masks of list.txt, pseudo`` (or ``others without label``),
        ``masks of list.txt`` (only those images), ``corrected masks of corrected`` instead of ``masks of list.txt``,
        or ``not trained here``.
    """
    return experiment.labels if segmenter is None else _labels_of(segmenter, "", "pseudo")


def threshold_files(artifact: Artifact) -> list[str]:
    """The file with the chosen threshold that an artifact's conditions name, if there is one."""
    if artifact.stage == "predictions":
        labels = artifact.upstream["segmenter"].upstream.get("labels")
        return [] if labels is None else threshold_files(labels)
    roles = ("threshold", "seed_threshold")
    return [artifact.upstream[role].path("threshold.json") for role in roles if role in artifact.upstream]


def _choice(artifact: Artifact, role: str, fixed: float | None) -> Threshold:
    if role in artifact.upstream:
        return Threshold.of_artifact(artifact.upstream[role].parameters)
    return _UNUSED if fixed is None else Threshold(fixed=fixed)
