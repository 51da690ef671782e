"""Settings that separate objects from the background."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.numbers import Power, as_number
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import File

THRESHOLD_STEPS = 100
"""Maps are scored, and thresholds chosen, at 0, 1/100, ..., 99/100."""


class Threshold(Parameters):
    """A threshold, or how it is chosen. A plain number is short for ``fixed``."""

    alternatives: ClassVar[tuple[str, ...]] = ("fixed", "rule", "best_on")
    belongs_to: ClassVar[Mapping[str, str]] = {"subset": "best_on"}
    short_type: ClassVar[str | None] = "number"

    fixed: float | None = Field(None, gt=0, lt=1)
    """The threshold itself, with two decimals."""
    rule: Literal["mean_and_deviation"] | None = Field(None, exclude_if=lambda rule: rule is None)
    """Choose one without masks: 0.65 standard deviations above the mean of all values in the class maps of the training
    images. Each method then gets its own."""
    best_on: Literal["train", "subset"] | None = None
    """Choose the one with the highest mIoU: on all training images with a mask (an oracle: the result is no longer
    weakly supervised), or on the images listed in ``subset``."""
    subset: File | None = None
    """With ``best_on: subset``, a text file with ids of training images that have masks, one per line."""

    @model_validator(mode="before")
    @classmethod
    def _plain_number(cls, settings: Any) -> Any:
        if isinstance(settings, Mapping):
            return settings
        number = as_number(settings)
        return {"fixed": number} if isinstance(number, int | float) else settings

    @model_validator(mode="after")
    def _one_source(self) -> "Threshold":
        if sum(choice is not None for choice in (self.fixed, self.rule, self.best_on)) != 1:
            raise ValueError("give a number, or exactly one of 'fixed', 'rule' and 'best_on'")
        if (self.subset is not None) != (self.best_on == "subset"):
            raise ValueError("'subset', a file with image ids, belongs to best_on: subset")
        if self.fixed is not None and abs(self.fixed * THRESHOLD_STEPS - round(self.fixed * THRESHOLD_STEPS)) > 1e-9:
            raise ValueError("a threshold must be a multiple of 0.01, as seeds are scored at those")
        return self

    @classmethod
    def of_artifact(cls, parameters: Mapping[str, Any]) -> "Threshold":
        """The threshold's settings among the parameters of an artifact of the stage ``threshold``."""
        return cls(**{key: value for key, value in parameters.items() if key in cls.model_fields})


class BackgroundScore(Parameters):
    """The background's score next to the class maps: a constant, or what the class maps leave over."""

    alternatives: ClassVar[tuple[str, ...]] = ("threshold", "alpha", "times_seed_threshold")

    threshold: float | None = Field(None, gt=0, lt=1)
    """The same score at every pixel."""
    alpha: Power | None = None
    """``(1 - largest class value) ** alpha``, as in AffinityNet; a larger alpha leaves more foreground."""
    times_seed_threshold: float | None = Field(None, ge=0.01, le=100)
    """The same score at every pixel: this multiple of the CAMs' own ``threshold``, rounded to two decimals. It follows
    the method."""

    @model_validator(mode="after")
    def _one_kind(self) -> "BackgroundScore":
        _exactly_one(self)
        return self

    def resolved(self, seed_threshold: float | None) -> "BackgroundScore":
        """The score with ``times_seed_threshold`` replaced by its value.

        Args:
            seed_threshold: the CAMs' threshold; needed only for ``times_seed_threshold``.
        """
        return BackgroundScore(**_resolved(self, seed_threshold)) if self.times_seed_threshold else self


class Saliency(Parameters):
    """Scores from class maps and a saliency map, as for SeeNet's proxy labels."""

    attention_weight: float = Field(1.0, ge=0.01, le=100)
    """Weight of a class map in its harmonic mean with the saliency map, whose weight is 1. SeeNet probably has 1 (from
    memory of its section on semantic segmentation)."""


class PseudoLabelBackground(Parameters):
    """The background's score next to the maps that pseudo labels are made from."""

    alternatives: ClassVar[tuple[str, ...]] = ("threshold", "alpha", "times_seed_threshold", "walked_alpha", "saliency")

    threshold: Threshold | None = None
    """The same score at every pixel. The maps are first divided by the largest value of all classes (IRN, AdvCAM)."""
    alpha: Power | None = None
    """``(1 - largest class value) ** alpha`` of the maps, divided in the same way."""
    times_seed_threshold: float | None = Field(None, ge=0.01, le=100)
    """The same score at every pixel: this multiple of the CAMs' own ``threshold``, rounded to two decimals."""
    walked_alpha: Power | None = None
    """``(1 - largest class value) ** walked_alpha`` of the class maps before the walk. This map walks along with them,
    and nothing is divided (AffinityNet's code)."""
    saliency: Saliency | None = Field(None, exclude_if=lambda saliency: saliency is None)
    """``1 - saliency``, from the maps in ``dataset.saliency``; a class's score is then the harmonic mean of its map and
    the saliency (SeeNet, after Chaudhry et al., BMVC 2017). ``{}`` takes the defaults."""

    @model_validator(mode="after")
    def _one_kind(self) -> "PseudoLabelBackground":
        _exactly_one(self)
        return self

    def resolved(self, seed_threshold: float | None, threshold: float | None) -> BackgroundScore | Saliency | None:
        """The score next to the maps after the walk; None if the background walked along.

        Args:
            seed_threshold: the CAMs' threshold; needed only for ``times_seed_threshold``.
            threshold: the chosen threshold, if ``threshold`` is not fixed.
        """
        if self.walked_alpha is not None:
            return None
        if self.saliency is not None:
            return self.saliency
        if self.threshold is not None:
            return BackgroundScore(threshold=self.threshold.fixed if threshold is None else threshold)
        return BackgroundScore(**_resolved(self, seed_threshold))


def multiple_of(times: float, seed_threshold: float) -> float:
    """A multiple of a seed's threshold, rounded to the nearest of 0.01, ..., 0.99."""
    hundredths = round(times * seed_threshold * THRESHOLD_STEPS)
    return min(max(hundredths, 1), THRESHOLD_STEPS - 1) / THRESHOLD_STEPS


def is_out_of_range(times: float, seed_threshold: float) -> bool:
    """Whether a multiple of a seed's threshold is beyond what :func:`multiple_of` can give."""
    return not 1 <= round(times * seed_threshold * THRESHOLD_STEPS) < THRESHOLD_STEPS


def _exactly_one(settings: BackgroundScore | PseudoLabelBackground) -> None:
    if sum(getattr(settings, key) is not None for key in settings.alternatives) != 1:
        raise ValueError(f"give exactly one of {', '.join(repr(key) for key in settings.alternatives)}")


def _resolved(
    settings: BackgroundScore | PseudoLabelBackground, seed_threshold: float | None
) -> dict[str, float | None]:
    if settings.times_seed_threshold is None:
        return {"alpha": settings.alpha}
    if seed_threshold is None:
        raise ValueError("'times_seed_threshold' needs the seed's threshold")
    return {"threshold": multiple_of(settings.times_seed_threshold, seed_threshold)}
