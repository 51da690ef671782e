"""Settings of the stage `walked_cams`: how CAM values are spread along affinities."""

from pydantic import Field

from wsss_core.config.numbers import Power
from wsss_core.config.parameters import Parameters


class Spreading(Parameters):
    """The settings that all ways of spreading CAM values share. Subclasses add their method's settings."""

    cam_power: Power = 1.0
    """CAM values are raised to this power before they are spread: 1.5 where AdvCAM uses IRN."""


class Walk(Spreading):
    """Random walk that spreads CAM values along learned affinities."""

    beta: float = Field(8.0, ge=0.01, le=1e9)
    """Affinities are raised to this power before they become transition probabilities."""
    log2_steps: int = Field(8, ge=0, le=12)
    """The walk takes 2 ** log2_steps steps."""
    cam_power: Power = 1.0
    """CAM values are raised to this power before the walk: 1.5 where AdvCAM uses IRN."""


class IrnWalk(Walk):
    """Random walk that spreads CAM values, but not across boundaries."""

    beta: float = Field(10.0, ge=0.01, le=1e9)
    """Affinities are raised to this power before they become transition probabilities."""
    radius: int = Field(5, ge=2, le=16)
    """Pairs of cells (of 4 pixels) closer than this are steps of the walk."""


class AttentionSpreading(Spreading):
    """How the attention of a vision transformer's patches spreads CAM values: CLIP-ES's class-aware attention-based
    affinity (Lin et al., CVPR 2023).
    """

    layers: int = Field(8, ge=1, le=1_000)
    """Number of last blocks whose patch attention is averaged; all blocks if there are fewer."""
    balancing: int = Field(3, ge=0, le=1_000)
    """How often columns, then rows, are divided by their sums before the matrix is made symmetric."""
    log2_steps: int = Field(1, ge=0, le=12)
    """The maps are multiplied by the matrix 2 ** log2_steps times."""
    box_threshold: float | None = Field(0.4, gt=0, lt=1)
    """A class's values are spread only inside the boxes around its regions above this share of its maximum; ``null``
    spreads all values."""
