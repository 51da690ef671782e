"""Settings of the stages `segmenter` and `predictions`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.crf import Crf
from wsss_core.config.guesses import Guesses
from wsss_core.config.networks import Backbone
from wsss_core.config.numbers import BatchSize, Bins, Channels, Dilation, Scale
from wsss_core.config.parameters import Parameters, Scales
from wsss_core.config.paths import WeightsFile
from wsss_core.config.semi_supervised import Consistency
from wsss_core.config.training import Augmentation, Optimisation

Rates = Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=32)]
"""Dilations of parallel convolutions."""


class Prediction(Parameters):
    """How a trained segmenter is applied to an image."""

    scales: Scales = (0.5, 0.75, 1.0, 1.25, 1.5)
    """The network sees the image at these multiples of its size; class probabilities are averaged."""
    flip: bool = True
    """Also run the mirrored image."""
    crf: Crf | None = Crf(gaussian_sxy=1, gaussian_compat=3, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4)
    """Constants of the CRF on the probabilities (DeepLab's by default); ``null`` for none."""
    keep_probabilities: bool = False
    """Also keep the probabilities before the CRF, in HDF5 next to the label maps (``probabilities/``)."""
    arithmetic: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Dtype that the network computes in. ``tf32`` lets GPUs since NVIDIA's Ampere round the factors of
    convolutions to 11 bits; other devices compute in float32. ``bfloat16`` (autocast) is faster on GPUs that have it.
    ``docs/performance.md`` shows what both change."""


class SegmenterOptimisation(Optimisation):
    """How a segmenter's weights are fitted."""

    accumulate: BatchSize = 1
    """Number of parts that a step's images are computed in, one after the other, to save memory. The loss is the mean
    of the parts' losses (deeplab-pytorch: 2 parts of 5 images)."""

    @model_validator(mode="after")
    def _parts_are_equal(self) -> "SegmenterOptimisation":
        if self.batch_size % self.accumulate:
            raise ValueError(f"'accumulate' must divide 'batch_size' ({self.batch_size}), not be {self.accumulate}")
        return self


class Segmenter(Guesses):
    """The settings that all segmenters share. Subclasses add their network's settings."""

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")
    architecture: ClassVar[tuple[str, ...]] = ()
    """Keys that the network is built from."""

    backbone: str | None = None
    """Variant in ``backbones`` whose weights the trunk starts from. Exactly one of this and ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose trunk's weights the trunk starts from."""
    weights: WeightsFile | None = None
    """Path of a segmenter's file that the whole network starts from instead, such as a checkpoint converted by
    ``python -m wsss_core import-weights``. With ``epochs: 0`` it is used as it is."""
    freeze_batch_norm: bool = True
    """Keep the trunk's batch normalisation as it is."""
    loss: Literal["cross_entropy", "balanced"] = "cross_entropy"
    """Mean cross-entropy over the labelled pixels; or ``balanced``: half the mean over pixels of the background and
    half the mean over those of objects."""
    consistency: Consistency | None = None
    """Cross-consistency training on the images without masks; ``null``: none."""
    compared_at: Literal["labels", "scores"] = "labels"
    """The size at which the loss is computed. ``labels``: scores are enlarged to it (bilinear). ``scores``: labels are
    reduced to it (nearest, as in Pillow), as in DeepLab's own code."""
    optimisation: SegmenterOptimisation = SegmenterOptimisation()
    """How the network is trained."""
    augmentation: Augmentation = Augmentation(scale=(0.5, 1.5), crop=321)
    """Random changes to a training image and its labels."""
    prediction: Prediction = Prediction()
    """How the trained network is applied."""

    @model_validator(mode="after")
    def _one_start(self) -> "Segmenter":
        if (self.backbone is None) == (self.classifier is None):
            raise ValueError("give exactly one of 'backbone' and 'classifier' (whose weights it starts from)")
        if self.optimisation.epochs == 0 and self.weights is None:
            raise ValueError("'optimisation.epochs: 0' is for an imported network: give its 'weights'")
        if self.optimisation.epochs == 0 and self.consistency is not None:
            raise ValueError("'consistency' is a way of training, and 'optimisation.epochs' is 0")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """What the network is built from besides the trunk and the classes, as JSON values."""
        return self.model_dump(mode="json", include=set(self.architecture))


class DeepLab(Segmenter):
    """The demo's small form of DeepLab: atrous spatial pyramid pooling on a trunk."""

    architecture: ClassVar[tuple[str, ...]] = ("atrous_rates", "low_level_skip")

    network: Literal["deeplab"] = "deeplab"
    """Sum of parallel dilated convolutions over the trunk's last features (Chen et al., 2018)."""
    atrous_rates: Rates = (6, 12, 18, 24)
    """Dilations of the parallel convolutions."""
    low_level_skip: bool = False
    """Add features at a quarter of the image's size to the result, for sharper borders, as DeepLabV3+ does."""
    optimisation: SegmenterOptimisation = SegmenterOptimisation(
        epochs=20, batch_size=10, learning_rate=2.5e-4, momentum=0.9, weight_decay=5e-4
    )
    """How the network is trained."""


FULLY_CONNECTED_UNITS = 4096
"""Units of each of VGG-16's fully connected layers fc6 and fc7."""
FULLY_CONNECTED_REACH = 96
"""Pixels between the rows of fc6 that are kept: 3 cells of stride 32."""


def has_fully_connected(trunk: Backbone) -> bool:
    """Whether a trunk starts from torchvision's file of VGG-16, which also has the fully connected layers."""
    return trunk.network == "vgg16" and trunk.weights == "imagenet"


class LargeFov(Segmenter):
    """DeepLab-LargeFOV (Chen et al., ICLR 2015): one dilated convolution with a large field of view."""

    architecture: ClassVar[tuple[str, ...]] = ("atrous_rate", "channels", "dropout")

    network: Literal["largefov"] = "largefov"
    """For VGG-16 (``output_stride: 8``, ``dilated: true``), and the DeepLab on ResNet-38 with ``channels: 512``."""
    atrous_rate: Dilation = 12
    """Dilation of the convolution with the large field of view (fc6)."""
    channels: Channels = 1024
    """Channels of the two layers before the scores (fc6, fc7)."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values that each of these two layers drops in training."""
    fully_connected: Literal["vgg16", "random"] | None = Field(None, exclude_if=lambda source: source is None)
    """What fc6 and fc7 start from. ``vgg16``: VGG-16's fully connected layers in torchvision's file, decimated (every
    third row and column of fc6's 7x7 weights, every (4096 / ``channels``)-th unit of both layers). ``random``: random
    weights. Default: ``vgg16`` if the trunk itself starts from that file (a ``backbone`` with ``network: vgg16``,
    ``weights: imagenet``), ``channels`` divides 4096, and ``atrous_rate`` times the trunk's stride is 96, as in the
    paper (section 3.1: "simple decimation"); otherwise ``random``. The kept rows of fc6 are 3 cells of stride 32 apart,
    which is an ``atrous_rate`` of 12 at stride 8. Which units DeepLab's released file has is not published."""
    compared_at: Literal["labels", "scores"] = "scores"
    """The size at which the loss is computed. ``labels``: scores are enlarged to it (bilinear). ``scores``: labels are
    reduced to it (nearest, as in Pillow), as in DeepLab's own code."""
    optimisation: SegmenterOptimisation = SegmenterOptimisation(
        epochs=12, batch_size=20, learning_rate=1e-3, momentum=0.9, weight_decay=5e-4, milestones=(0.3333, 0.6667)
    )
    """How the network is trained. The paper makes 6,000 steps of 20 images: 12 epochs of VOC's 10,582. The last layer
    learns at ``head_factor`` times the rate, all biases at twice their layer's rate and without weight decay."""
    augmentation: Augmentation = Augmentation(crop=321)
    """Random changes to a training image and its labels."""
    prediction: Prediction = Prediction(scales=(1.0,), flip=False)
    """How the trained network is applied."""

    @model_validator(mode="after")
    def _layers_can_be_decimated(self) -> "LargeFov":
        if self.fully_connected == "vgg16" and FULLY_CONNECTED_UNITS % self.channels:
            raise ValueError(
                f"'fully_connected: vgg16' keeps every n-th of {FULLY_CONNECTED_UNITS} units, so 'channels' must "
                f"divide that, not be {self.channels}"
            )
        if self.fully_connected is not None and self.weights is not None:
            raise ValueError("'fully_connected' is for new layers, but 'weights' has them; leave one of them out")
        return self

    def takes_fully_connected(self, trunk: Backbone) -> bool:
        """Whether fc6 and fc7 start from VGG-16's own, on a trunk that started from the settings ``trunk``."""
        if self.fully_connected is not None or self.weights is not None or self.backbone is None:
            return self.fully_connected == "vgg16"
        fits = self.atrous_rate * trunk.output_stride == FULLY_CONNECTED_REACH
        return has_fully_connected(trunk) and FULLY_CONNECTED_UNITS % self.channels == 0 and fits


class DeepLabV2(Segmenter):
    """DeepLab v2 with multi-scale inputs (Chen et al., TPAMI 2018), as deeplab-pytorch has it."""

    architecture: ClassVar[tuple[str, ...]] = ("atrous_rates", "input_scales")

    network: Literal["deeplabv2"] = "deeplabv2"
    """Sum of parallel dilated convolutions; the largest score over several image sizes counts. For ``resnet101`` with
    ``output_stride: 8`` and ``dilated: true``."""
    atrous_rates: Rates = (6, 12, 18, 24)
    """Dilations of the parallel convolutions."""
    input_scales: Annotated[tuple[Scale, ...], Field(max_length=32)] = (0.5, 0.75)
    """Further image sizes, as multiples of the image's own, that the network sees together with it, in training and in
    use. The loss is the sum of the losses of each size and of the largest scores."""
    compared_at: Literal["labels", "scores"] = "scores"
    """The size at which the loss is computed. ``labels``: scores are enlarged to it (bilinear). ``scores``: labels are
    reduced to it (nearest, as in Pillow), as in DeepLab's own code."""
    optimisation: SegmenterOptimisation = SegmenterOptimisation(
        epochs=19,
        batch_size=10,
        accumulate=2,
        learning_rate=2.5e-4,
        momentum=0.9,
        weight_decay=5e-4,
        decay_every=10,
    )
    """How the network is trained. The reference makes 20,000 steps of 10 images: 19 epochs of VOC's 10,582. The
    pyramid's weights learn at ``head_factor`` times the rate, its biases at twice that and without weight decay."""
    augmentation: Augmentation = Augmentation(scales=(0.5, 0.75, 1.0, 1.25, 1.5), crop=321)
    """Random changes to a training image and its labels."""
    prediction: Prediction = Prediction(scales=(1.0,), flip=False)
    """How the trained network is applied, in addition to its ``input_scales``."""

    @model_validator(mode="after")
    def _further_scales(self) -> "DeepLabV2":
        if len({1.0, *self.input_scales}) != len(self.input_scales) + 1:
            raise ValueError(f"'input_scales' must be different numbers other than 1, not {list(self.input_scales)}")
        return self


class DeepLabV3Plus(Segmenter):
    """DeepLabV3+ (Chen et al., ECCV 2018), with torchvision's pyramid."""

    architecture: ClassVar[tuple[str, ...]] = ("atrous_rates", "dropout")

    network: Literal["deeplabv3plus"] = "deeplabv3plus"
    """Pyramid with image pooling, and a decoder that adds features at a quarter of the image's size."""
    atrous_rates: Rates = (6, 12, 18)
    """Dilations of the pyramid's 3x3 convolutions."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values that the pyramid drops in training."""
    freeze_batch_norm: bool = False
    """Keep the trunk's batch normalisation as it is; the pyramid's and the decoder's is always trained."""
    optimisation: SegmenterOptimisation = SegmenterOptimisation(
        epochs=46, batch_size=16, learning_rate=7e-3, head_factor=1, momentum=0.9, weight_decay=4e-5
    )
    """How the network is trained. The paper makes 30,000 steps of 16 images: 46 epochs of VOC's 10,582."""
    augmentation: Augmentation = Augmentation(scale=(0.5, 2.0), crop=513)
    """Random changes to a training image and its labels."""
    prediction: Prediction = Prediction(scales=(1.0,), flip=False, crf=None)
    """How the trained network is applied."""

    @model_validator(mode="after")
    def _statistics_of_several_images(self) -> "DeepLabV3Plus":
        _check_images_of_a_part(self.optimisation)
        return self


class PspNet(Segmenter):
    """Pyramid pooling (PSPNet, Zhao et al., CVPR 2017) and a decoder that upsamples, as CCT has them.

    The network of cross-consistency training (Ouali et al., CVPR 2020); constants are those of its code
    (``configs/config.json``, ``base/base_dataset.py``, ``inference.py``).
    """

    architecture: ClassVar[tuple[str, ...]] = ("bins",)

    network: Literal["pspnet"] = "pspnet"
    """For ``resnet50`` with ``output_stride: 8`` and ``dilated: true``. The auxiliary decoders of ``consistency`` see
    the pyramid's features and upsample like the main one."""
    bins: Annotated[tuple[Bins, ...], Field(min_length=1, max_length=32)] = (1, 2, 3, 6)
    """Cells of the pyramid's grids, each way."""
    freeze_batch_norm: bool = False
    """Keep the trunk's batch normalisation as it is; the pyramid's is always trained."""
    optimisation: SegmenterOptimisation = SegmenterOptimisation(
        epochs=138, batch_size=20, learning_rate=1e-3, head_factor=10, momentum=0.9, weight_decay=1e-4
    )
    """How the network is trained. CCT makes 72,960 steps of 10 images with masks and 10 others: 138 epochs of VOC's
    10,582 images with ``masks_of.share: 0.5``."""
    augmentation: Augmentation = Augmentation(long_side=(200, 800), crop=320)
    """Random changes to a training image and its labels."""
    prediction: Prediction = Prediction(crf=None)
    """How the trained network is applied."""

    @model_validator(mode="after")
    def _statistics_of_several_images(self) -> "PspNet":
        _check_images_of_a_part(self.optimisation)
        return self


def _check_images_of_a_part(optimisation: SegmenterOptimisation) -> None:
    """Refuse parts of one image: the pyramid pools each image to single values, which need others to be normalised."""
    if optimisation.batch_size // optimisation.accumulate < 2:
        raise ValueError(
            "'optimisation.batch_size' / 'accumulate' must be at least 2, as the pyramid normalises over the images of "
            "a part"
        )
