"""Thresholds and background scores in words, including those that are chosen later."""

import re
from collections.abc import Mapping, Sequence

from wsss_core.config.background import (
    BackgroundScore,
    PseudoLabelBackground,
    Threshold,
    is_out_of_range,
    multiple_of,
)
from wsss_core.evaluation.choose_threshold import read_threshold

CHOSEN = "{threshold}"
"""Placeholder of a threshold that another job chooses; ``{1.3 x threshold}`` is that of a multiple, see ``fill_in``."""
BY_RULE = {"mean_and_deviation": "by the maps' mean and deviation, no mask used"}
"""The source of a threshold that a rule chooses."""
BEST_ON_TRAIN = "best on train: an oracle"
"""The source of a threshold that is chosen on all masks of the training images."""
_MULTIPLE = re.compile(r"\{([^ {}]+) x threshold\}")


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
    """Replace the placeholders of a threshold and of its multiples.

    A multiple becomes ``0.36 =``, or ``0.99 instead of`` if it is not a valid threshold.
    """

    def multiple(found: re.Match[str]) -> str:
        times = float(found[1])
        return f"{multiple_of(times, threshold):.2f} {'instead of' if is_out_of_range(times, threshold) else '='}"

    return _MULTIPLE.sub(multiple, text).replace(CHOSEN, f"{threshold:.2f}")


def filled_in(conditions: Mapping[str, str], threshold_json: Sequence[str]) -> dict[str, str]:
    """A score's conditions, with the chosen threshold filled in.

    Args:
        conditions: see :func:`wsss_core.plan.score_conditions.score_conditions`.
        threshold_json: the file with the chosen threshold, if one was chosen.
    """
    if not threshold_json:
        return dict(conditions)
    chosen = read_threshold(threshold_json[0])["threshold"]
    return {name: fill_in(text, chosen) for name, text in conditions.items()}


def threshold_in_words(choice: Threshold) -> str:
    """A threshold and its source; one that is chosen later is ``{threshold}``."""
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
