"""DeepLab v2 as deeplab-pytorch has it: a residual network in Caffe's form, seen at several scales.

Chen et al., "DeepLab", TPAMI 2018. What the released code does decides where the paper says nothing: sizes
rounded up by the max-pooling, strides in 1x1 convolutions, pixels as in Caffe.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck

from wsss_core.datasets.palette import IGNORED
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import AtrousPyramid
from wsss_core.networks.pixels import DEEPLAB_MEANS, CaffePixels
from wsss_core.networks.resnet import LAYERS, Architecture, ResNetTrunk
from wsss_core.networks.weights import load_network, save_weights, trainable
from wsss_core.training.loop import ParameterGroup

KIND = "deeplabv2"
"""What a file's description calls this network."""
OUTPUT_STRIDE = 8
Pixels = Literal["caffe", "imagenet"]

# The authors' parts of a bottleneck block, and torchvision's, which ours are.
_PARTS = {"reduce": ("conv1", "bn1"), "conv3x3": ("conv2", "bn2"), "increase": ("conv3", "bn3")}
_PARTS["shortcut"] = ("downsample.0", "downsample.1")
_BLOCK_NAME = re.compile(r"layer([2-5])\.block(\d+)\.(reduce|conv3x3|increase|shortcut)\.(conv|bn)\.(\w+)")
_STEM_NAME = re.compile(r"layer1\.conv1\.(conv|bn)\.(\w+)")
_PYRAMID_NAME = re.compile(r"aspp\.c(\d+)\.(weight|bias)")


class DeepLabV2(nn.Module):
    """Bottleneck trunk of stride 8 and an atrous pyramid on it, for an image at one scale.

    Attributes:
        classes: names of the classes, ``background`` first.
        trunk: state-dict names as torchvision's, so that ImageNet weights fit.
        settings: the arguments that the network was made with, JSON-serialisable.
    """

    def __init__(
        self,
        classes: Sequence[str],
        blocks: Sequence[int] = (3, 4, 23, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
        rates: Sequence[int] = (6, 12, 18, 24),
        pixels: Pixels = "caffe",
    ) -> None:
        """Build the network with random weights from torch's global generator.

        Args:
            classes: names of the object classes, without the background.
            blocks: bottleneck blocks of the four layers; ResNet-101's by default.
            widths: channels inside these blocks; a layer's output has four times as many.
            rates: dilations of the pyramid.
            pixels: ``caffe`` converts images to what Caffe's weights expect (:class:`CaffePixels`);
                ``imagenet`` takes them as they come, which torchvision's weights expect.

        Raises:
            ValueError: ``blocks`` or ``widths`` are not four, or ``pixels`` is neither.
        """
        super().__init__()
        if len(blocks) != len(LAYERS) or len(widths) != len(LAYERS):
            raise ValueError(f"'blocks' and 'widths' have to be four numbers each, not {blocks} and {widths}")
        if pixels not in ("caffe", "imagenet"):
            raise ValueError(f"'pixels' has to be 'caffe' or 'imagenet', not {pixels!r}")
        self.settings: dict[str, Any] = {
            "classes": list(classes),
            "blocks": list(blocks),
            "widths": list(widths),
            "rates": list(rates),
            "pixels": pixels,
        }
        self.classes = ("background", *classes)
        self.pixels = CaffePixels(DEEPLAB_MEANS) if pixels == "caffe" else nn.Identity()
        architecture = Architecture(Bottleneck, (*blocks,), (*widths,))  # type: ignore[arg-type]
        self.trunk = ResNetTrunk(architecture, OUTPUT_STRIDE, dilated=True)
        _bring_to_caffes_form(self.trunk)
        self.pyramid = AtrousPyramid(self.trunk.channels[-1], len(self.classes), rates)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores at an eighth of the image's size.

        Args:
            images: (B, 3, H, W) float, any size from 1x1; RGB, (value / 255 - mean) / deviation, or
                with ``pixels="imagenet"`` whatever the weights belong to.

        Returns:
            Logits (B, K + 1, h, w), h is H / 8 rounded up, or one more.
        """
        return self.pyramid(self.trunk(self.pixels(images))[-1])


class MultiScale(nn.Module):
    """A network that sees the image at several sizes; the largest score of each class and place counts.

    Attributes:
        network: sees one size.
        scales: the image's further sizes, as multiples of its own.
    """

    def __init__(self, network: DeepLabV2, scales: Sequence[float] = (0.5, 0.75)) -> None:
        """Wrap ``network``; without ``scales``, its scores stay as they are."""
        super().__init__()
        self.network = network
        self.scales = tuple(scales)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, ``background`` first."""
        return self.network.classes

    def all_logits(self, images: Tensor) -> list[Tensor]:
        """Scores at each scale, and the largest of them.

        Args:
            images: (B, 3, H, W), as the network takes them.

        Returns:
            Logits (B, K + 1, h_i, w_i): of the image itself, of each of ``scales``, each at its own
            size, and their maximum at the first's size.
        """
        logits = [self.network(images), *(self.network(_scaled(images, scale)) for scale in self.scales)]
        size = logits[0].shape[2:]
        enlarged = [functional.interpolate(part, size=size, mode="bilinear", align_corners=False) for part in logits]
        # Not amax: where scales agree, the gradient goes to one of them, as in the authors' code.
        return [*logits, torch.stack(enlarged).max(dim=0).values]

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """In training what :meth:`all_logits` returns, else its last: the largest scores."""
        logits = self.all_logits(images)
        return logits if self.training else logits[-1]


def resized_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbours, as Pillow picks them.

    torch's own ``nearest`` takes corners instead of centres, and its ``nearest-exact`` computes places in
    float32. The authors go through Pillow image by image; here only the indices are computed.

    Args:
        labels: (B, H, W), any dtype.
        size: height and width of the result.

    Returns:
        (B, *size), same dtype.
    """
    rows, columns = (
        torch.from_numpy(_nearest(length, wanted)).to(labels.device)
        for length, wanted in zip(labels.shape[1:], size, strict=True)
    )
    return labels[:, rows[:, None], columns]


def training_losses(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Cross entropy of each scale's scores; their sum is minimised.

    Labels are brought to the scores' sizes, not the reverse.

    Args:
        logits: of :meth:`MultiScale.all_logits`, (B, K + 1, h_i, w_i).
        labels: (B, H, W) integers, 0 background, 1..K, 255 is left out.

    Returns:
        (len(logits),): means over the labelled pixels; 0 where there are none.
    """
    losses = []
    for part in logits:
        wanted = resized_labels(labels, (part.shape[2], part.shape[3])).long()
        total = functional.cross_entropy(part, wanted, ignore_index=IGNORED, reduction="sum")
        losses.append(total / (wanted != IGNORED).sum().clamp(min=1))
    return torch.stack(losses)


def parameter_groups(network: DeepLabV2, head_factor: float = 10.0) -> list[ParameterGroup]:
    """What the authors optimise: convolutions only; batch normalisation stays as it is.

    Args:
        network: the network.
        head_factor: of the pyramid's weights; its biases learn twice as fast, without weight decay.

    Returns:
        Groups of the trunk's convolutions, the pyramid's weights and the pyramid's biases.
    """
    convolutions = [part for part in network.trunk.modules() if isinstance(part, nn.Conv2d)]
    pyramid = dict(network.pyramid.named_parameters())
    return [
        ParameterGroup([weight for part in convolutions for weight in trainable(part)], 1.0),
        ParameterGroup([pyramid[name] for name in pyramid if name.endswith("weight")], head_factor),
        ParameterGroup([pyramid[name] for name in pyramid if name.endswith("bias")], 2 * head_factor, weight_decay=0.0),
    ]


def our_name(name: str) -> str:
    """The name in :class:`DeepLabV2`'s state dict of what deeplab-pytorch calls ``name``.

    Args:
        name: with or without the prefix ``base.``, which the authors' multi-scale wrapper gives.

    Raises:
        UserError: deeplab-pytorch's DeepLab v2 has no such weight.
    """
    own = name.removeprefix("base.")
    if match := _STEM_NAME.fullmatch(own):
        return f"trunk.{match[1]}1.{match[2]}"
    if match := _BLOCK_NAME.fullmatch(own):
        layer, block, part, kind, leaf = match.groups()
        return f"trunk.layer{int(layer) - 1}.{int(block) - 1}.{_PARTS[part][kind == 'bn']}.{leaf}"
    if match := _PYRAMID_NAME.fullmatch(own):
        return f"pyramid.branches.{match[1]}.{match[2]}"
    raise UserError(f"'{name}' is no weight of deeplab-pytorch's DeepLab v2")


def from_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn a state dict of deeplab-pytorch into one of :class:`DeepLabV2`.

    Args:
        state: of DeepLab v2, or of DeepLab v1, from which the authors start: its classifier (``fc.*``)
            has no counterpart and is left out, and the pyramid is then missing from the result.

    Returns:
        The same tensors under our names. Batch counters, which old files lack, are added as 0; nothing
        depends on them.

    Raises:
        UserError: a name is not one of deeplab-pytorch's.
    """
    renamed = {our_name(name): tensor for name, tensor in state.items() if not name.startswith(("fc.", "base.fc."))}
    for name in [name for name in renamed if name.endswith(".running_mean")]:
        renamed.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.tensor(0))
    return renamed


def save_deeplabv2(path: Path | str, network: MultiScale) -> None:
    """Write a network's weights; :func:`load_deeplabv2` needs nothing else.

    The names are those of the network inside, so that its trunk can be used elsewhere.
    """
    save_weights(path, network.network, {"kind": KIND, "scales": network.scales, **network.network.settings})


def load_deeplabv2(path: Path | str, device: torch.device | str = "cpu") -> MultiScale:
    """Read a network for use: in evaluation mode, weights without gradients.

    Raises:
        UserError: the file is broken, is of another network, or its weights do not fit.
    """
    scales: list[float] = []

    def build(saved: dict[str, Any]) -> DeepLabV2:
        scales.extend(saved["scales"])
        return DeepLabV2(**{name: value for name, value in saved.items() if name not in ("kind", "scales")})

    network = load_network(path, KIND, build, device)
    return MultiScale(network, scales).eval()


def _bring_to_caffes_form(trunk: ResNetTrunk) -> None:
    """Change a dilated trunk of bottleneck blocks from torchvision's form to the authors'.

    The max-pooling rounds sizes up; a block's stride sits in its first 1x1 convolution; all 3x3
    convolutions of a layer have the same dilation (torchvision's first block has the layer before's).
    """
    assert isinstance(trunk.maxpool, nn.MaxPool2d)
    trunk.maxpool.ceil_mode = True
    for name in LAYERS:
        layer = [block for block in trunk.get_submodule(name).children() if isinstance(block, Bottleneck)]
        dilation = 2 ** max(0, LAYERS.index(name) - 1)
        for block in layer:
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
            block.conv2.dilation = block.conv2.padding = (dilation, dilation)


def _scaled(images: Tensor, scale: float) -> Tensor:
    """Images resized by a factor, sizes rounded down but at least 1."""
    if min(images.shape[2:]) * scale < 1:
        size = [max(1, int(side * scale)) for side in images.shape[2:]]
        return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    # By the factor, not to the size: places in the image then do not depend on the rounding.
    return functional.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)


def _nearest(length: int, wanted: int) -> np.ndarray:
    """Indices (wanted,) int64 of the pixels that Pillow's nearest filter picks out of ``length``.

    Pillow adds up steps in float64; so does this, for its rounding decides where a place falls between
    two pixels.
    """
    steps = np.full(wanted, length / wanted)
    steps[0] /= 2  # to the middle of the first pixel
    return np.add.accumulate(steps).astype(np.int64).clip(max=length - 1)
