"""Settings of pseudo labels that are joined with masks of segments."""

from pydantic import Field

from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import File


class SamMasks(Parameters):
    """Pseudo labels joined with masks of segments without classes, such as SAM's (SEPL, Chen et al. 2023)."""

    folder: File
    """Path of a folder with the masks of every training image: ``<image id>/*.png``, 255 inside and 0 outside, or
    ``<image id>.json``, a list of records with COCO run lengths, as SAM's automatic generator writes them."""
    share_of_mask: float = Field(0.5, ge=0, lt=1)
    """A class takes a mask if it fills more than this share of the mask."""
    share_of_class: float | None = Field(0.85, gt=0, le=1)
    """A class also takes a mask that holds at least this share of the class's pixels; ``null``: it does not."""
    keep_uncovered: bool = True
    """A class keeps its pixels that no free mask covers."""
    keep_ignored: bool = False
    """Pixels without a label keep none where no mask gives them one; the authors make them background."""
