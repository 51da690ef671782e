"""Settings of the stages `affinity_labels`, `affinity` and `pseudo_labels`."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.parameters import Parameters
from wsss_core.config.training import Augmentation, Optimisation


class Crf(Parameters):
    """Dense conditional random field (pydensecrf): AffinityNet's constants by default."""

    iterations: int = Field(10, ge=1)
    """Mean-field iterations."""
    gaussian_sxy: float = Field(3.0, gt=0)
    """Spatial deviation of the smoothness kernel, pixels."""
    gaussian_compat: float = Field(3.0, ge=0)
    """Weight of the smoothness kernel."""
    bilateral_sxy: float = Field(80.0, gt=0)
    """Spatial deviation of the appearance kernel, pixels."""
    bilateral_srgb: float = Field(13.0, gt=0)
    """Colour deviation of the appearance kernel, on the 0..255 scale."""
    bilateral_compat: float = Field(10.0, ge=0)
    """Weight of the appearance kernel."""


class BackgroundScore(Parameters):
    """The background's score beside the class maps: a constant, or what the class maps leave."""

    alternatives: ClassVar[tuple[str, ...]] = ("threshold", "alpha")

    threshold: float | None = Field(None, gt=0, lt=1)
    """The same score at every pixel."""
    alpha: float | None = Field(None, gt=0)
    """``(1 - largest class value) ** alpha``, as in AffinityNet; a larger alpha leaves more foreground."""

    @model_validator(mode="after")
    def _one_kind(self) -> "BackgroundScore":
        if (self.threshold is None) == (self.alpha is None):
            raise ValueError("give exactly one of 'threshold' and 'alpha'")
        return self


class AffinityLabels(Parameters):
    """Which pixels are surely an object or surely background: what affinity is learned from."""

    foreground: BackgroundScore = BackgroundScore(alpha=4)
    """Background score of the first CRF; where an object still wins, its class is confident."""
    background: BackgroundScore = BackgroundScore(alpha=32)
    """Background score of the second CRF; where the background still wins, it is confident."""
    crf: Crf = Crf()
    """Constants of the CRF, also for the CRF-refined seed that is scored."""


class Walk(Parameters):
    """Random walk that spreads CAM values along learned affinities."""

    beta: float = Field(8.0, gt=0)
    """Affinities are raised to this power before they become transition probabilities."""
    log2_steps: int = Field(8, ge=0, le=12)
    """The walk takes 2 ** log2_steps steps."""
    cam_power: float = Field(1.0, gt=0)
    """CAM values are raised to this power before the walk."""


class PseudoLabels(Parameters):
    """From walked maps to one label per pixel."""

    background: BackgroundScore = BackgroundScore(alpha=16)
    """Background score beside the walked maps."""
    crf: Crf | None = None
    """Constants of a CRF after the walk; none by default."""


class AffinityNet(Parameters):
    """AffinityNet (Ahn & Kwak, CVPR 2018): pixel features whose distances tell apart regions."""

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")

    method: Literal["affinitynet"] = "affinitynet"
    """Semantic affinity of neighbouring pixels, learned from the confident labels."""
    backbone: str | None = None
    """Variant in ``backbones`` whose weights the trunk starts from. Exactly one of this and ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose trunk's weights the trunk starts from."""
    stride: Literal[4, 8] = 8
    """Pixels per cell of the affinity grid, each way."""
    radius: int = Field(5, ge=2, le=16)
    """Pairs of cells closer than this get an affinity."""
    freeze_batch_norm: bool = True
    """Keep batch normalisation as it comes with the trunk."""
    optimisation: Optimisation = Optimisation(epochs=8, batch_size=8, weight_decay=5e-4)
    """How the network is fitted."""
    augmentation: Augmentation = Augmentation(crop=448, colour_jitter=0.3)
    """Random changes to a training image."""
    labels: AffinityLabels = AffinityLabels()
    """What the network learns from."""
    walk: Walk = Walk()
    """How CAM values are spread."""
    pseudo_labels: PseudoLabels = PseudoLabels()
    """How walked maps become labels."""

    @model_validator(mode="after")
    def _one_start(self) -> "AffinityNet":
        if (self.backbone is None) == (self.classifier is None):
            raise ValueError("give exactly one of 'backbone' and 'classifier' (whose weights it starts from)")
        return self
