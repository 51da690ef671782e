"""What a score's label maps were made under, in words that stand beside the figure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wsss_core.config import Experiment
from wsss_core.config.averaging import Averaging
from wsss_core.config.background import (
    BackgroundScore,
    PseudoLabelBackground,
    Threshold,
    is_out_of_range,
    multiple_of,
)
from wsss_core.config.refinement import PseudoLabels
from wsss_core.config.stage_settings import stage_settings
from wsss_core.config.trained_on import backbone_trained_on, trained_on
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.plan.artifacts import Artifact, refinement_of

CHOSEN = "{threshold}"
"""Stands for a threshold that another job chooses; ``{1.3 x threshold}`` for its multiple, see ``fill_in``."""
BY_RULE = {"mean_and_deviation": "by the maps' mean and deviation, no mask used"}
"""The source of a threshold that a rule chooses."""
BEST_ON_TRAIN = "best on train: an oracle"
"""The source of a threshold that is chosen on all masks of the training images."""
WITH_SALIENCY = ", saliency maps"
"""Stands behind labels that saliency maps were used for."""
_NO = Threshold(best_on="train")
"""Stands for a seed's threshold that no words will name."""
_MULTIPLE = re.compile(r"\{([^ {}]+) x threshold\}")


CONDITIONS = {
    "split": "split",
    "background": "background begins at",
    "seen_at": "sees",
    "crf": "CRF",
    "without_label": "without label",
    "labels": "labels used",
    "initialisation": "starts from",
}
"""Columns of every table of scores that say what the scored maps were made under, and their headings for people."""
ANY_THRESHOLD = "the row's threshold"
"""The background of class maps, which are scored at every threshold."""


def score_conditions(artifact: Artifact, scored_list: str | None = None, scored_val: str = "all") -> dict[str, str]:
    """Conditions of the scores of an artifact's maps.

    Args:
        artifact: of the stage ``cams``, ``walked_cams``, ``refined_seeds``, ``pseudo_labels`` or ``predictions``.
        scored_list: the list of the training images that are scored (``dataset.score_on``); None: all are.
        scored_val: the validation images that are scored (``dataset.score_val``): ``all`` or ``with_objects``.

    Returns:
        By column of ``CONDITIONS``: ``split`` (and its list, if that has another name; and the size that its images
        were shrunk to, see :func:`shrunken_in_words`), ``background`` (its score and
        where that comes from; ``{threshold}`` in it is filled in once it is chosen, by :func:`fill_in`), ``seen_at``
        (scales and mirror images), ``crf`` (on the scored maps themselves), ``without_label`` (which pixels have none;
        pseudo labels only), ``labels`` (what networks were trained on) and ``initialisation``.
    """
    if artifact.stage == "predictions":
        segmenter = artifact.upstream["segmenter"]
        labels = segmenter.upstream.get("labels")
        pseudo = labels is not None and labels.stage == "pseudo_labels"
        return {
            "split": _split_in_words(artifact, "val") + (", images with objects" if scored_val != "all" else ""),
            # Whoever trains on pseudo labels inherits the way that their threshold was chosen in.
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
        "seen_at": _seen_at(cams.parameters),
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
    """Conditions of the scores that a threshold is chosen by on a list of images; see :func:`score_conditions`."""
    maps = threshold.upstream["maps"]
    split = f"the images of {threshold.parameters['subset']}{shrunken_in_words(maps)}"
    return {**score_conditions(maps), "split": split}


def shrunken_in_words(artifact: Artifact) -> str:
    """What to say behind the images that an artifact is scored on, if large ones were shrunk; else nothing."""
    long_side = artifact.upstream["dataset"].parameters.get("long_side")
    return "" if long_side is None else f", images shrunk to {long_side} pixels"


def _maps_of(artifact: Artifact) -> Artifact:
    """The class maps that label maps are made of."""
    return artifact.upstream["cams" if artifact.stage == "refined_seeds" else "maps"]


def _background_of(artifact: Artifact) -> str:
    parameters = artifact.parameters
    if artifact.stage == "cams":
        return ANY_THRESHOLD
    if artifact.stage == "walked_cams":
        alpha = parameters["walked_alpha"]
        return ANY_THRESHOLD if alpha is None else background_in_words(PseudoLabelBackground(walked_alpha=alpha), _NO)
    seed = _choice(artifact, "seed_threshold", parameters["seed_threshold"])
    if artifact.stage == "refined_seeds":
        return background_in_words(BackgroundScore(**parameters["background"]), seed)
    return background_in_words(PseudoLabels(**parameters["pseudo_labels"]).background, seed)


def _without_label(settings: PseudoLabels) -> str:
    """Which pixels pseudo labels leave without label."""
    thresholds = None if settings.pamr is None else settings.pamr.class_thresholds
    if thresholds is not None:
        return f"no class, or several, above {thresholds.objects:g} of their highest score"
    return "none" if settings.unsure_below is None else f"below {settings.unsure_below:g}"


def _crf_in_words(artifact: Artifact) -> str:
    """Whether a CRF was on the scored maps, or what was in its place."""
    refinement = refinement_of(artifact)
    if isinstance(refinement, Averaging):
        return f"no, {type(refinement).__name__.upper()}"
    return "no" if refinement is None else "yes"


def _with_saliency(pseudo_labels: Artifact | None) -> str:
    """What to say behind labels that saliency maps were used for; else nothing."""
    return WITH_SALIENCY if pseudo_labels is not None and "saliency" in pseudo_labels.upstream else ""


def _joined_with(pseudo_labels: Artifact | None) -> str:
    """What to say behind labels that were joined with masks of segments; else nothing."""
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
    """The sizes at which images are seen; a method of one's own may have no scales."""
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
    """The labels that a segmenter was trained with, how they were mixed, and what each part weighed."""
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
    """Masks, pseudo labels or both; ``listed`` stands behind a list of masks, ``pseudo`` for pseudo labels."""
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
    """What an experiment's segmenter is trained on, in short; without one, what it would be.

    Returns:
        ``pseudo``, ``masks`` (of all training images), ``masks of list.txt, pseudo`` (or ``others without label``),
        ``masks of list.txt`` (those images alone), ``corrected masks of corrected`` in place of ``masks of list.txt``,
        or ``not trained here``.
    """
    return experiment.labels if segmenter is None else _labels_of(segmenter, "", "pseudo")


def initialisation_in_words(artifact: Artifact) -> str:
    """What the weights of a network had been trained on before, from the first training on.

    Args:
        artifact: of the stage ``backbone``, ``classifier`` or ``segmenter``.

    Returns:
        Such as ``ImageNet (torchvision), classifier 'ordinary'``; what is known of weights from a file stands in the
        file (:func:`wsss_core.config.trained_on.trained_on`). Of a segmenter's own training nothing is said.
    """
    parameters, upstream = artifact.parameters, artifact.upstream
    if artifact.stage == "backbone":
        told = backbone_trained_on(stage_settings("backbones", parameters))
        path = f" ({parameters['weights']})" if parameters["weights"].endswith(".safetensors") else ""
        return f"{told or 'nobody says what'}{path}"
    before = next((upstream[role] for role in ("initial", "start_from", "backbone") if role in upstream), None)
    start = _file_in_words(parameters["weights"]) if before is None else initialisation_in_words(before)
    if "fully_connected" in upstream:
        start += ", fc6 and fc7 too"
    trained_here = artifact.stage == "classifier" and parameters["optimisation"]["epochs"] > 0
    return f"{start}, classifier '{artifact.variant}'" if trained_here else start


def sources_of_weights(artifact: Artifact) -> set[str]:
    """What all weights that an artifact goes back to come from, its labels' included, as far as it is known.

    Returns:
        What is known of the sources of ImageNet's and timm's weights, and what files say of themselves.
    """
    sources: set[str] = set()
    weights = artifact.parameters.get("weights")
    if artifact.stage == "backbone" and weights not in ("pretext", "scratch"):
        sources |= {told for told in [backbone_trained_on(stage_settings("backbones", artifact.parameters))] if told}
    elif artifact.stage in ("classifier", "affinity", "segmenter") and weights:
        sources |= {told for told in [trained_on(weights)] if told is not None}
    return sources.union(*map(sources_of_weights, artifact.upstream.values()))


def _file_in_words(path: str) -> str:
    return f"{trained_on(path) or 'nobody says what'} ({path})"


def threshold_files(artifact: Artifact) -> list[str]:
    """The file with the chosen threshold that an artifact's conditions name, if there is one."""
    if artifact.stage == "predictions":
        labels = artifact.upstream["segmenter"].upstream.get("labels")
        return [] if labels is None else threshold_files(labels)
    roles = ("threshold", "seed_threshold")
    return [artifact.upstream[role].path("threshold.json") for role in roles if role in artifact.upstream]


def background_in_words(background: BackgroundScore | PseudoLabelBackground, seed: Threshold) -> str:
    """A background score and where it comes from; ``seed`` is the CAMs' threshold."""
    if isinstance(background, PseudoLabelBackground):
        if background.saliency is not None:
            weight = background.saliency.attention_weight
            counted = "" if weight == 1 else f", which counts {weight:g} times"
            return f"1 - saliency; a class has the harmonic mean of saliency and its map{counted}"
        if background.walked_alpha is not None:
            return f"(1 - max)^{background.walked_alpha:g}, walked along"
        if background.threshold is not None:
            return threshold_in_words(background.threshold)
    elif background.threshold is not None:
        return threshold_in_words(Threshold(fixed=background.threshold))
    if background.alpha is not None:
        return f"(1 - max)^{background.alpha:g}"
    times = background.times_seed_threshold
    if times == 1:
        return f"the seed's {threshold_in_words(seed)}"
    assert times is not None
    template = f"{{{times!r} x threshold}} {times:g} x the seed's {threshold_in_words(seed)}"
    return template if seed.fixed is None else fill_in(template, seed.fixed)


def fill_in(text: str, threshold: float) -> str:
    """Put a threshold, and what became of its multiples, in place of what stands for them.

    A multiple becomes ``0.36 =``, or ``0.99 instead of`` if there is no such threshold.
    """

    def multiple(found: re.Match[str]) -> str:
        times = float(found[1])
        return f"{multiple_of(times, threshold):.2f} {'instead of' if is_out_of_range(times, threshold) else '='}"

    return _MULTIPLE.sub(multiple, text).replace(CHOSEN, f"{threshold:.2f}")


def filled_in(conditions: Mapping[str, str], threshold_json: Sequence[str]) -> dict[str, str]:
    """Conditions of a score (see :func:`score_conditions`), with the threshold that was chosen put in, if one was."""
    if not threshold_json:
        return dict(conditions)
    chosen = read_threshold(threshold_json[0])["threshold"]
    return {name: fill_in(text, chosen) for name, text in conditions.items()}


def threshold_in_words(choice: Threshold) -> str:
    """A threshold and its source; one to be chosen is ``{threshold}``."""
    if choice.fixed is not None:
        return f"{choice.fixed:.2f} (fixed)"
    return f"{CHOSEN} ({source_of_threshold(choice)})"


def source_of_threshold(choice: Threshold) -> str:
    """Where a threshold comes from."""
    if choice.fixed is not None:
        return "fixed"
    if choice.rule is not None:
        return BY_RULE[choice.rule]
    return BEST_ON_TRAIN if choice.best_on == "train" else f"best on the images of {choice.subset}"


def _choice(artifact: Artifact, role: str, fixed: float | None) -> Threshold:
    if role in artifact.upstream:
        return Threshold.of_artifact(artifact.upstream[role].parameters)
    return _NO if fixed is None else Threshold(fixed=fixed)
