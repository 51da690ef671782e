"""What a score's label maps were made under, in words that stand beside the figure."""

import re

from wsss_core.config import Experiment
from wsss_core.config.background import (
    BackgroundScore,
    PseudoLabelBackground,
    Threshold,
    is_out_of_range,
    multiple_of,
)
from wsss_core.config.refinement import PseudoLabels
from wsss_core.plan import Artifact
from wsss_core.trained_on import trained_on

CHOSEN = "{threshold}"
"""Stands for a threshold that another job chooses; ``{1.3 x threshold}`` for its multiple, see ``fill_in``."""
BEST_ON_TRAIN = "best on train: an oracle"
"""The source of a threshold that is chosen on all masks of the training images."""
_MULTIPLE = re.compile(r"\{([^ {}]+) x threshold\}")


def score_conditions(artifact: Artifact) -> dict[str, str]:
    """Conditions of the scores of an artifact's label maps.

    Args:
        artifact: of the stage ``refined_seeds``, ``pseudo_labels`` or ``predictions``.

    Returns:
        By name of a column: ``initialisation`` and ``seen_at`` (predictions), ``background`` (the background's score
        and where it comes from; ``{threshold}`` in it is filled in once it is chosen, by :func:`fill_in`), ``crf``,
        and which pixels have no label.
    """
    parameters = artifact.parameters
    if artifact.stage == "predictions":
        scales = " ".join(f"{scale:g}" for scale in parameters["scales"])
        flip = " and mirrored" if parameters["flip"] else ""
        return {
            "initialisation": initialisation_in_words(artifact.upstream["segmenter"]),
            "seen_at": f"scales {scales}{flip}",
            "crf": _yes(parameters["crf"]),
        }
    seed = _choice(artifact, "seed_threshold", parameters["seed_threshold"])
    if artifact.stage == "refined_seeds":
        background = BackgroundScore(**parameters["background"])
        return {"background": background_in_words(background, seed), "crf": _yes(parameters["crf"])}
    settings = PseudoLabels(**parameters["pseudo_labels"])
    unsure = "none" if settings.unsure_below is None else f"below {settings.unsure_below:g}"
    return {
        "background": background_in_words(settings.background, seed),
        "crf": _yes(settings.crf),
        "without_label": unsure,
    }


def labels_in_words(experiment: Experiment) -> str:
    """What an experiment's segmenter is trained on.

    Returns:
        ``pseudo``, ``masks`` (of all training images), ``masks of list.txt``, or ``masks of list.txt, pseudo``.
    """
    if experiment.masks_of is None:
        return experiment.labels
    masks = f"masks of {experiment.masks_of.file}"
    return masks if experiment.labels == "masks" else f"{masks}, {experiment.labels}"


def initialisation_in_words(artifact: Artifact) -> str:
    """What the weights of a network had been trained on before, from the first training on.

    Args:
        artifact: of the stage ``backbone``, ``classifier`` or ``segmenter``.

    Returns:
        Such as ``ImageNet (torchvision), classifier 'ordinary'``; what is known of weights from a file stands in the
        file (:func:`wsss_core.trained_on.trained_on`). Of a segmenter's own training nothing is said.
    """
    parameters, upstream = artifact.parameters, artifact.upstream
    if artifact.stage == "backbone":
        known = {"imagenet": "ImageNet (torchvision)", "scratch": "random weights", "pretext": "the pretext set"}
        return known.get(parameters["weights"]) or _file_in_words(parameters["weights"])
    before = next((upstream[role] for role in ("initial", "start_from", "backbone") if role in upstream), None)
    start = _file_in_words(parameters["weights"]) if before is None else initialisation_in_words(before)
    trained_here = artifact.stage == "classifier" and parameters["optimisation"]["epochs"] > 0
    return f"{start}, classifier '{artifact.variant}'" if trained_here else start


def _file_in_words(path: str) -> str:
    return f"{trained_on(path) or 'nobody says what'} ({path})"


def threshold_files(artifact: Artifact) -> list[str]:
    """The file with the chosen threshold that an artifact depends on, if there is one."""
    roles = ("threshold", "seed_threshold")
    return [artifact.upstream[role].path("threshold.json") for role in roles if role in artifact.upstream]


def background_in_words(background: BackgroundScore | PseudoLabelBackground, seed: Threshold) -> str:
    """A background score and where it comes from; ``seed`` is the CAMs' threshold."""
    if isinstance(background, PseudoLabelBackground):
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


def threshold_in_words(choice: Threshold) -> str:
    """A threshold and its source; one to be chosen is ``{threshold}``."""
    if choice.fixed is not None:
        return f"{choice.fixed:.2f} (fixed)"
    return f"{CHOSEN} ({source_of_threshold(choice)})"


def source_of_threshold(choice: Threshold) -> str:
    """Where a threshold comes from."""
    if choice.fixed is not None:
        return "fixed"
    return BEST_ON_TRAIN if choice.best_on == "train" else f"best on the images of {choice.subset}"


def _choice(artifact: Artifact, role: str, fixed: float | None) -> Threshold:
    if role in artifact.upstream:
        return Threshold(**artifact.upstream[role].parameters)
    return Threshold(fixed=fixed) if fixed is not None else Threshold(best_on="train")  # which nothing will name


def _yes(crf: object) -> str:
    return "no" if crf is None else "yes"
