"""Judges, in words, whether a classifier has learned the classes, before class maps are drawn from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from wsss_core.errors import UserError
from wsss_core.files.atomic import write_json

if TYPE_CHECKING:
    from wsss_core.evaluation.classification import ClassFigures, Classification

LITTLE = 1 / 3
"""Below this share of the way from chance to a mAP of 1, a classifier has learned little. A classifier with useful maps
is far above: ResNet-50 reaches more than nine tenths on VOC."""
NAMED = 10
"""A sentence names at most this many classes at chance."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of a classifier."""

    classifier: str
    """Its variant."""
    learned: Literal["nothing", "little", "enough", "unknown"]
    sentence: str
    """The verdict with its figures."""
    what_to_do: tuple[str, ...]
    """Empty if there is no warning."""
    classes_at_chance: tuple[str, ...]
    """Classes that are found no better than by chance."""

    @property
    def is_near_chance(self) -> bool:
        """Whether it has learned nothing or little."""
        return self.learned in ("nothing", "little")

    @property
    def is_warning(self) -> bool:
        """Whether users should read it first, because the classifier or single classes are near chance."""
        return self.is_near_chance or bool(self.classes_at_chance)


def judge(classifier: str, figures: "Classification", classes: Sequence[str], what_to_do: Sequence[str]) -> Verdict:
    """Judge a classifier by its figures.

    Args:
        classifier: its variant.
        figures: on the validation images.
        classes: names, in class order.
        what_to_do: advice for a classifier near chance; the first and the last item also apply to single classes.
    """
    learned = _learned(figures)
    # With few images, the test alone says of some classes that they are at chance, however well they are found.
    named = [one.at_chance and learned != "unknown" and not _is_much(one) for one in figures.classes]
    at_chance = tuple(name for name, is_named in zip(classes, named, strict=True) if is_named)
    verdict = Verdict(classifier, learned, _sentence(learned, figures, at_chance), (), at_chance)
    advice = what_to_do if verdict.is_near_chance else dict.fromkeys([*what_to_do[:1], *what_to_do[-1:]])
    return replace(verdict, what_to_do=tuple(advice) if verdict.is_warning else ())


def _learned(figures: "Classification") -> Literal["nothing", "little", "enough", "unknown"]:
    mean = figures.mean
    if not figures.can_be_judged:
        return "unknown"
    if mean.at_chance:
        return "unknown" if _is_much(mean) else "nothing"
    return "enough" if _is_much(mean) else "little"


def _is_much(figures: "ClassFigures") -> bool:
    """Whether an average precision, or a mean of them, is far enough from chance."""
    return figures.average_precision - figures.chance >= LITTLE * (1 - figures.chance)


def _sentence(learned: str, figures: "Classification", at_chance: Sequence[str]) -> str:
    images = f"{figures.images} validation image{'' if figures.images == 1 else 's'}"
    if isnan(figures.mean.average_precision):
        return f"the classifier cannot be judged: no class is shown by some of the {images} and not by others"
    reached = f"mAP {100 * figures.mean.average_precision:.1f} % on {images}"
    chance = f"where chance gives {100 * figures.mean.chance:.1f} %"
    limit = f"below {100 * figures.chance_limit:.1f} % in 199 of 200 cases"
    if learned == "nothing":
        sentence = f"the classifier has learned nothing: {reached}, {chance} ({limit})"
    elif learned == "little":
        sentence = f"the classifier has learned little: {reached}, {chance} ({limit})"
    elif learned == "unknown":
        sentence = f"the classifier cannot be judged: {reached}, {chance}, is too little evidence"
    else:
        sentence = f"the classifier has learned the classes: {reached}, {chance}"
    if learned == "nothing" or not at_chance:
        return sentence
    named = ", ".join(at_chance[:NAMED])
    more = f" and {len(at_chance) - NAMED} more" if len(at_chance) > NAMED else ""
    return f"{sentence}; no better than chance: {named}{more}"


def what_to_do(index_csv: str, dataset_report: str, curve: str, trained: bool, initialisation: str) -> list[str]:
    """Advice for a classifier near chance, the most likely cause first.

    Args:
        index_csv: the list of images and their labels.
        dataset_report: the page that counts them.
        curve: the training curve.
        trained: False for a classifier that was imported and used unchanged.
        initialisation: what its weights were trained on before, in words.
    """
    advice = [f"check in {index_csv} that the labels belong to their images ({dataset_report} counts them)"]
    if not trained:
        return [*advice, "check that the imported weights are for these classes, in this order"]
    advice.append(
        f"check in {curve} whether the loss fell; if not, try a third of 'optimisation.learning_rate', and more "
        "'optimisation.epochs' (several hundred steps are few)"
    )
    if initialisation.startswith(("random weights", "the pretext set")):
        advice.append(
            f"start from ImageNet weights ('weights' of the backbone; now: {initialisation.split(', classifier ')[0]})"
        )
    return [*advice, "add images of the classes that are not found"]


def verdict_in_text(verdict: Verdict) -> str:
    """The verdict of a classifier and what to do about it, in one paragraph."""
    text = f"classifier {verdict.classifier}: {verdict.sentence}."
    if verdict.what_to_do:
        text += f" Class maps {'drawn from it' if verdict.is_near_chance else 'of these'} show little. What to do: "
        text += "; ".join(f"({number}) {advice}" for number, advice in enumerate(verdict.what_to_do, start=1)) + "."
    return text


def write_verdict(verdict: Verdict, verdict_json: Path | str) -> None:
    """Write a verdict for the stages and pages that use it."""
    write_json(verdict_json, asdict(verdict))


def read_verdict(verdict_json: Path | str) -> Verdict:
    """Read what :func:`write_verdict` has written.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return TypeAdapter(Verdict).validate_json(Path(verdict_json).read_bytes())
    except (OSError, ValidationError) as found:
        error = found.errors()[0]["msg"] if isinstance(found, ValidationError) else found
        raise UserError(f"{verdict_json}: holds no verdict ({error}); delete it and make it again") from None


def stop_at_chance(verdict_json: Path | str, at_chance: Literal["warn", "stop"]) -> None:
    """Stop a job before it draws maps from a classifier near chance, if the configuration says so.

    Args:
        verdict_json: the verdict of the classifier.
        at_chance: ``runtime.classifier_at_chance``.

    Raises:
        UserError: the classifier has learned nothing or little, and ``at_chance`` is ``stop``.
    """
    if at_chance == "warn":
        return
    verdict = read_verdict(verdict_json)
    if verdict.is_near_chance:
        raise UserError(
            f"{verdict_in_text(verdict)} No maps are drawn, as 'runtime.classifier_at_chance' is stop; warn goes on"
        )
