"""Settings of the stage `cams`: how class maps are drawn from a trained classifier."""

from typing import Literal

from pydantic import Field, field_validator

from wsss_core.config.parameters import Parameters, Scales

THRESHOLD_STEPS = 100
"""Seeds are scored at the thresholds 0, 1/100, ..., 99/100."""


class Cams(Parameters):
    """What all CAM methods have in common. Subclasses add their method's settings."""

    classifier: str
    """Name of a variant in ``classifiers``."""
    scales: Scales = (0.5, 1.0, 1.5, 2.0)
    """The image is seen at these multiples of its size; the maps are summed."""
    threshold: float = Field(0.15, gt=0, lt=1)
    """The seed's fixed background score: a pixel whose largest CAM value is not above it is background.
    The maps do not depend on it; the seed's score and the CRF-refined seed do. Two decimals."""
    high_res: bool = True
    """Keep the maps at image size as well as at a quarter of it."""
    precision: Literal["float16", "float32"] = "float16"
    """Number format of the stored maps."""

    @field_validator("threshold")
    @classmethod
    def _two_decimals(cls, threshold: float) -> float:
        if abs(threshold * THRESHOLD_STEPS - round(threshold * THRESHOLD_STEPS)) > 1e-9:
            raise ValueError("threshold must be a multiple of 0.01: seeds are scored at those")
        return threshold


class MultiscaleCams(Cams):
    """The baseline: the classifier's own class maps, summed over scales and mirror images."""

    method: Literal["multiscale"] = "multiscale"
    """IRN ``step/make_cam.py``."""
    flip: bool = True
    """See the mirrored image too and add its maps, mirrored back."""


class AdvCams(Cams):
    """AdvCAM: the image climbs the class's logit, and the maps seen on the way are summed."""

    method: Literal["advcam"] = "advcam"
    """AdvCAM ``obtain_CAM_masking.py`` (Lee et al., CVPR 2021)."""
    steps: int = Field(27, ge=1)
    """Maps summed per scale: the clean image's and those after 1 to steps - 1 changes. As in the authors'
    code, scales below 1 take half as many (rounded down) from 11 on, five from 6 to 10."""
    step_size: float = Field(0.08, gt=0)
    """Largest change of a (normalised) pixel value in one step. The paper's text has 0.008."""
    regularisation: float = Field(7.0, ge=0)
    """Weight of the term that keeps already discriminative regions from growing further (lambda).
    It scales with the classifier's logits."""
    mask_threshold: float = Field(0.5, ge=0, le=1)
    """Share of the map's maximum above which a region counts as already discriminative (tau)."""
    suppress_other_classes: bool = True
    """Push the logits of all other classes down while the class's own is pushed up."""
