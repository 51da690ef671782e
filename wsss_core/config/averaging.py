"""Settings of the refinements without weights: a dense CRF, PAR or PAMR."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from wsss_core.config.crf import Crf
from wsss_core.config.numbers import Dilation, Factor
from wsss_core.config.parameters import Parameters


def _rising(dilations: tuple[int, ...]) -> tuple[int, ...]:
    if list(dilations) != sorted(set(dilations)):
        raise ValueError("dilations must be different numbers, from the smallest to the largest")
    return dilations


Dilations = Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=32), AfterValidator(_rising)]
"""Distances of neighbours, cells."""


class Averaging(Parameters):
    """Repeated averaging of scores over a pixel's neighbours. Subclasses add their weights' settings."""

    dilations: Dilations = (1, 2, 4, 8, 12, 24)
    """Distances of a pixel's neighbours, eight at each, in cells of the shrunken image."""
    iterations: int = Field(10, ge=1, le=1_000)
    """How often scores are averaged."""
    shrink: Literal[1, 2, 4, 8] = 2
    """Height and width of image and scores are divided by this before the averaging; the result is enlarged again."""
    softmax: bool = True
    """Start from the softmax of the scores, as the authors do; ``false``: from the scores themselves."""


class Par(Averaging):
    """PAR, pixel-adaptive refinement (Ru et al., AFA, CVPR 2022). The defaults are AFA's and ToCo's."""

    iterations: int = Field(10, ge=1, le=1_000)
    """How often scores are averaged; AFA on COCO: 15."""
    width: Factor = 0.3
    """Width of both Gaussians (colours, distances), as a multiple of the neighbours' standard deviation."""
    distance_weight: float = Field(0.01, ge=0, le=100)
    """Weight of the distances' Gaussian, which is added to the colours'."""


class ClassThresholds(Parameters):
    """Thresholds relative to each label's highest score in the image (Araslanov & Roth, CVPR 2020)."""

    objects: float = Field(0.6, ge=0, lt=1)
    """A pixel counts for a class if its score is above this share of the class's highest score in the image."""
    background: float = Field(0.7, ge=0, lt=1)
    """The same share for the background."""
    lowest: float = Field(0.2, ge=0, lt=1)
    """No threshold is below this score."""


class Pamr(Averaging):
    """PAMR, pixel-adaptive mask refinement (Araslanov & Roth, CVPR 2020). The defaults are the authors'."""

    shrink: Literal[1, 2, 4, 8] = 4
    """Height and width of image and scores are divided by this before the averaging; the result is enlarged again. The
    authors shrink the image to the size of the network's maps; class maps here have a quarter of the image's."""
    width: Factor = 0.1
    """Width of the colours' Gaussian, as a multiple of the neighbours' standard deviation."""
    class_thresholds: ClassThresholds | None = Field(None, exclude_if=lambda thresholds: thresholds is None)
    """Only for pseudo labels: a pixel gets a label if exactly one class's score is above its own threshold, otherwise
    none (255). ``{}`` takes the authors' thresholds; ``null``: every pixel gets the label with the highest score."""


REFINEMENTS: Mapping[str, type[Crf] | type[Par] | type[Pamr]] = {"crf": Crf, "par": Par, "pamr": Pamr}
"""The settings of each refinement, by its key."""


class RefinedScores(Parameters):
    """Scores that at most one of ``crf``, ``par`` and ``pamr`` refines. Subclasses declare ``crf``."""

    alternatives: ClassVar[tuple[str, ...]] = tuple(REFINEMENTS)

    par: Par | None = Field(None, exclude_if=lambda par: par is None)
    """PAR instead of the CRF; on a GPU it takes a fraction of the time. ``par: {}`` takes the authors' settings."""
    pamr: Pamr | None = Field(None, exclude_if=lambda pamr: pamr is None)
    """PAMR instead of the CRF. ``pamr: {}`` takes the authors' settings."""

    @model_validator(mode="before")
    @classmethod
    def _in_place_of_the_default(cls, settings: Any) -> Any:
        """PAR or PAMR replaces a CRF that is only the default."""
        if not isinstance(settings, Mapping) or "crf" in settings:
            return settings
        other = any(settings.get(key) is not None for key in cls.alternatives)
        return {**settings, "crf": None} if other else settings

    @model_validator(mode="after")
    def _one_refinement(self) -> "RefinedScores":
        given = [repr(key) for key in self.alternatives if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give at most one of 'crf', 'par' and 'pamr', not {' and '.join(given)}")
        return self

    @property
    def refinement(self) -> Crf | Averaging | None:
        """The chosen one of the three, if any."""
        return next((chosen for key in self.alternatives if (chosen := getattr(self, key)) is not None), None)


def refinement_in(parameters: Mapping[str, Any]) -> Crf | Averaging | None:
    """The refinement in an artifact's parameters; None if there is none."""
    given = (kind(**parameters[key]) for key, kind in REFINEMENTS.items() if parameters.get(key) is not None)
    return next(given, None)
