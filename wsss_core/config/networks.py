"""Settings of the stages `backbone` and `classifier`."""

from typing import Literal

from pydantic import Field, model_validator

from wsss_core.config.parameters import Parameters
from wsss_core.config.training import Augmentation, Optimisation


class Pretext(Parameters):
    """Pretraining on a generated set of single textured shapes: the demo's stand-in for ImageNet."""

    images: int = Field(2000, ge=1)
    """Generated images."""
    size: int = Field(40, ge=16)
    """Height and width of an image, pixels."""
    data_seed: int = Field(0, ge=0)
    """Seed of the generated images."""
    optimisation: Optimisation = Optimisation(
        optimizer="adamw", epochs=6, batch_size=32, learning_rate=2e-3, head_factor=1.0, weight_decay=5e-4
    )
    """How the trunk is fitted to the pretext classes."""


class Backbone(Parameters):
    """A trunk that turns an image into feature maps, and where its weights come from."""

    network: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet_small"] = "resnet50"
    """``resnet18`` to ``resnet101`` are torchvision's; ``resnet_small`` is the same code, 24 to 96
    channels wide, for small images on a CPU."""
    output_stride: Literal[8, 16] = 16
    """Pixels of the image per cell of the last feature map, each way."""
    dilated: bool = False
    """Dilate the convolutions of the layers that lost their stride, so that they see as far as before.
    Off as in IRN's and AdvCAM's code."""
    weights: str = Field("imagenet", pattern=r"^(imagenet|pretext|scratch|.*\.safetensors)$")
    """``imagenet`` (torchvision's, fetched or found in its cache), ``pretext`` (see ``pretext``),
    ``scratch`` (random), or the path of a .safetensors file with a trunk's weights."""
    pretext: Pretext | None = None
    """Settings of the pretraining; given when ``weights`` is ``pretext``, and only then."""
    seed: int = Field(0, ge=0)
    """Seed of the random initial weights (``scratch`` and ``pretext``)."""

    @model_validator(mode="after")
    def _weights_fit(self) -> "Backbone":
        if (self.weights == "pretext") != (self.pretext is not None):
            raise ValueError("'pretext' is needed with weights: pretext, and only there")
        if self.weights == "imagenet" and self.network == "resnet_small":
            raise ValueError("there are no ImageNet weights for resnet_small; use pretext or scratch")
        return self


class Classifier(Parameters):
    """A network trained on image-level labels. Subclasses add their objective's settings."""

    backbone: str
    """Name of a variant in ``backbones``."""
    freeze_batch_norm: bool = True
    """Keep batch normalisation's statistics and weights as they come with the backbone."""
    frozen_stem: bool = True
    """Keep the first convolution and the first stage as they come with the backbone (IRN)."""
    optimisation: Optimisation = Optimisation()
    """How the network is fitted."""
    augmentation: Augmentation = Augmentation(long_side=(320, 640), crop=512)
    """Random changes to a training image."""


class OrdinaryClassifier(Classifier):
    """Multi-label classification: the baseline of the field."""

    objective: Literal["ordinary"] = "ordinary"
    """Multi-label soft margin loss on the mean of the class maps."""
