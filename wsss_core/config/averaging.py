"""Settings of refinements without weights: what scores are refined by, a dense CRF, PAR or PAMR."""

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
    """Each pixel has eight neighbours at each of these distances, cells of the shrunken image."""
    iterations: int = Field(10, ge=1, le=1_000)
    """How often scores are averaged."""
    shrink: Literal[1, 2, 4, 8] = 2
    """Image and scores are averaged at this fraction of their size, each way; the result is brought back."""
    softmax: bool = True
    """Start from the softmax of the scores, as the authors do; ``false``: from the scores themselves."""


class Par(Averaging):
    """PAR, pixel-adaptive refinement (Ru et al., AFA, CVPR 2022): defaults are AFA's and ToCo's."""

    iterations: int = Field(10, ge=1, le=1_000)
    """How often scores are averaged; AFA on COCO: 15."""
    width: Factor = 0.3
    """Widths of both Gaussians, of colours and of distances, as multiples of the neighbours' deviation."""
    distance_weight: float = Field(0.01, ge=0, le=100)
    """Share of the weights by distance, which is added to those by colour."""


class ClassThresholds(Parameters):
    """Thresholds of an image's labels by their own highest scores (Araslanov & Roth, CVPR 2020)."""

    objects: float = Field(0.6, ge=0, lt=1)
    """A pixel counts for a class if its score is above this share of the class's highest in the image,"""
    background: float = Field(0.7, ge=0, lt=1)
    """for the background, above this share of the background's,"""
    lowest: float = Field(0.2, ge=0, lt=1)
    """and always above this."""


class Pamr(Averaging):
    """PAMR, pixel-adaptive mask refinement (Araslanov & Roth, CVPR 2020): defaults are the authors'."""

    shrink: Literal[1, 2, 4, 8] = 4
    """Image and scores are averaged at this fraction of their size, each way; the result is brought back. The authors
    bring the image to the size of the network's maps; 4 is that of class maps here."""
    width: Factor = 0.1
    """Width of the weights by colour, as a multiple of the neighbours' deviation."""
    class_thresholds: ClassThresholds | None = Field(None, exclude_if=lambda thresholds: thresholds is None)
    """For pseudo labels only: pixels get a label where just one class's score is above its own threshold, else none
    (255). ``{}`` has the authors' thresholds; ``null``: every pixel has the label with the highest score."""


REFINEMENTS: Mapping[str, type[Crf] | type[Par] | type[Pamr]] = {"crf": Crf, "par": Par, "pamr": Pamr}
"""By its key, what scores can be refined by."""


class RefinedScores(Parameters):
    """What has scores refined by at most one of ``crf``, ``par`` and ``pamr``. Subclasses declare ``crf``."""

    alternatives: ClassVar[tuple[str, ...]] = tuple(REFINEMENTS)

    par: Par | None = Field(None, exclude_if=lambda par: par is None)
    """PAR in place of the CRF: on a GPU in a fraction of its time. ``par: {}`` has the authors' settings."""
    pamr: Pamr | None = Field(None, exclude_if=lambda pamr: pamr is None)
    """PAMR in place of the CRF, likewise."""

    @model_validator(mode="before")
    @classmethod
    def _in_place_of_the_default(cls, settings: Any) -> Any:
        """PAR or PAMR alone takes away a CRF that is there by default."""
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
        """The one that is given, if one is."""
        return next((chosen for key in self.alternatives if (chosen := getattr(self, key)) is not None), None)


def refinement_in(parameters: Mapping[str, Any]) -> Crf | Averaging | None:
    """The refinement among an artifact's parameters, which has the key of its kind; None if there is none."""
    given = (kind(**parameters[key]) for key, kind in REFINEMENTS.items() if parameters.get(key) is not None)
    return next(given, None)
