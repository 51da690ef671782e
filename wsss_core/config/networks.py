"""Settings of trunks and of the stage `backbone`."""

from typing import Literal

from pydantic import Field, model_validator

from wsss_core.config.parameters import Parameters
from wsss_core.config.training import Optimisation


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


class Trunk(Parameters):
    """What turns an image into feature maps."""

    network: Literal[
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet_small",
        "resnet38",
        "resnet38_small",
        "vgg16",
        "vgg16_small",
    ] = "resnet50"
    """``resnet18`` to ``resnet101`` are torchvision's, ``resnet38`` is AffinityNet's, OC-CSE's and AEFT's,
    ``vgg16`` SeeNet's. Those that end in ``_small`` are the same code, narrower, for small images on a CPU."""
    output_stride: Literal[8, 16] = 16
    """Pixels of the image per cell of the last feature map, each way. ``resnet38`` has 8."""
    dilated: bool = False
    """Dilate the convolutions of the layers that lost their stride, so that they see as far as before.
    Off as in IRN's and AdvCAM's code. ``resnet38`` has its own dilations."""
    dropout: tuple[float, float] | None = None
    """Shares of the channels dropped inside the last two stages of ``resnet38`` in training. By default 0.3 and
    0.5, as AffinityNet and OC-CSE train; AEFT trains with 0.2 and 0.2."""
    pixels: Literal["imagenet", "caffe"] = "imagenet"
    """Scale of pixels that ``vgg16``, ``resnet50`` or ``resnet101`` sees: ``caffe`` (blue, green, red, 0 to 255 less
    the mean) for weights that were trained in Caffe, as SeeNet's and deeplab-pytorch's. The residual networks then
    have Caffe's form as well: strides in 1x1 convolutions, sizes rounded up by the max-pooling."""

    @model_validator(mode="after")
    def _settings_belong_to_the_network(self) -> "Trunk":
        kind = self.network.removesuffix("_small")
        if kind == "resnet38" and self.output_stride != 8:
            raise ValueError(f"{self.network} has output_stride: 8, not {self.output_stride}")
        if kind == "resnet38" and self.dilated:
            raise ValueError(f"'dilated' is not for {self.network}, which has its own dilations")
        if kind != "resnet38" and self.dropout is not None:
            raise ValueError(f"'dropout' is only for resnet38 and resnet38_small, not for {self.network}")
        if self.dropout is not None and not all(0 <= share < 1 for share in self.dropout):
            raise ValueError(f"'dropout' must be two shares from 0 to below 1, not {list(self.dropout)}")
        if kind not in ("vgg16", "resnet50", "resnet101") and self.pixels != "imagenet":
            raise ValueError(
                f"'pixels: caffe' is only for vgg16, vgg16_small, resnet50 and resnet101, not for {self.network}"
            )
        return self


class Backbone(Trunk):
    """A trunk that turns an image into feature maps, and where its weights come from."""

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
        if self.weights == "imagenet" and self.network.endswith("_small"):
            raise ValueError(f"there are no ImageNet weights for {self.network}; use pretext or scratch")
        if self.weights == "imagenet" and self.pixels == "caffe":
            raise ValueError("torchvision's ImageNet weights are for pixels: imagenet, not caffe")
        if self.weights == "imagenet" and self.network == "resnet38":
            raise ValueError(
                "torchvision has no ImageNet weights for resnet38: give the path of a .safetensors file that "
                "`python -m wsss_core.networks.pretrained import --format mxnet-params` made"
            )
        return self

    @property
    def trunk(self) -> Trunk:
        """The trunk alone, without the source of its weights."""
        return Trunk(**{key: getattr(self, key) for key in Trunk.model_fields})
