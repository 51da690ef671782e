"""Settings of the dense CRF."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.numbers import Deviation, Weight
from wsss_core.config.parameters import Parameters


class Crf(Parameters):
    """Dense conditional random field (pydensecrf): AffinityNet's constants by default."""

    belongs_to: ClassVar[Mapping[str, str]] = {"certainty": "unary"}

    unary: Literal["scores", "labels"] = "scores"
    """What the CRF starts from: every label's score (AffinityNet, OC-CSE, AEFT), or only the label with the highest
    score (IRN, AdvCAM)."""
    certainty: float = Field(0.7, ge=0.5, lt=1)
    """With ``unary: labels``, the probability that the label is right; the others share the rest equally."""
    iterations: int = Field(10, ge=1, le=1_000)
    """Mean-field iterations."""
    long_side: int | None = Field(500, ge=1, le=100_000)
    """Longer side, in pixels, of the images that the two spatial deviations are meant for; in other images they scale
    with the longer side. Most VOC images have 500, and all authors chose their constants on VOC. ``null``: the
    deviations do not scale, as in all authors' code."""
    gaussian_sxy: Deviation = 3.0
    """Spatial deviation of the smoothness kernel, pixels."""
    gaussian_compat: Weight = 3.0
    """Weight of the smoothness kernel."""
    bilateral_sxy: Deviation = 80.0
    """Spatial deviation of the appearance kernel, pixels."""
    bilateral_srgb: Deviation = 13.0
    """Colour deviation of the appearance kernel, on the 0..255 scale."""
    bilateral_compat: Weight = 10.0
    """Weight of the appearance kernel."""
    colours: Literal["rgb", "wrapped"] = Field("rgb", exclude_if=lambda colours: colours == "rgb")
    """What the appearance kernel compares. ``rgb``: the image's colours. ``wrapped``: the colours minus their mean,
    plus 256 where that is negative, as in the code of deeplab-pytorch and CLIP-ES."""

    def widths(self, height: int, width: int) -> tuple[float, float]:
        """``gaussian_sxy`` and ``bilateral_sxy`` for an image of this size, pixels."""
        scale = 1.0 if self.long_side is None else max(height, width) / self.long_side
        return self.gaussian_sxy * scale, self.bilateral_sxy * scale

    @model_validator(mode="after")
    def _certainty_is_used(self) -> "Crf":
        if self.unary == "scores" and self.certainty != type(self).model_fields["certainty"].default:
            raise ValueError("'certainty' belongs to unary: labels; scores would ignore it")
        return self
