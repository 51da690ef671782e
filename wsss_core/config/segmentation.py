"""Settings of the stages `segmenter` and `predictions`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.crf import Crf
from wsss_core.config.parameters import Parameters, Scales
from wsss_core.config.training import Augmentation, Optimisation


class Prediction(Parameters):
    """How a trained segmenter is applied to an image."""

    scales: Scales = (0.5, 0.75, 1.0, 1.25, 1.5)
    """The image is seen at these multiples of its size; class probabilities are averaged."""
    flip: bool = True
    """See the mirrored image too."""
    crf: Crf | None = Crf(gaussian_sxy=1, gaussian_compat=3, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4)
    """Constants of the CRF on the probabilities (DeepLab's by default); ``null`` for none."""


class DeepLab(Parameters):
    """DeepLab: atrous spatial pyramid pooling on a trunk."""

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")

    network: Literal["deeplab"] = "deeplab"
    """Sum of parallel dilated convolutions over the trunk's last features (Chen et al., 2018)."""
    backbone: str | None = None
    """Variant in ``backbones`` whose weights the trunk starts from. Exactly one of this and ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose trunk's weights the trunk starts from."""
    atrous_rates: tuple[Annotated[int, Field(ge=1)], ...] = Field((6, 12, 18, 24), min_length=1)
    """Dilations of the parallel convolutions."""
    low_level_skip: bool = False
    """Join features at a quarter of the image's size to the result, for sharper borders (DeepLabV3+)."""
    freeze_batch_norm: bool = True
    """Keep batch normalisation as it comes with the trunk."""
    optimisation: Optimisation = Optimisation(
        epochs=20, batch_size=10, learning_rate=2.5e-4, momentum=0.9, weight_decay=5e-4
    )
    """How the network is fitted."""
    augmentation: Augmentation = Augmentation(scale=(0.5, 1.5), crop=321)
    """Random changes to a training image and its labels."""
    prediction: Prediction = Prediction()
    """How the trained network is applied."""

    @model_validator(mode="after")
    def _one_start(self) -> "DeepLab":
        if (self.backbone is None) == (self.classifier is None):
            raise ValueError("give exactly one of 'backbone' and 'classifier' (whose weights it starts from)")
        return self
