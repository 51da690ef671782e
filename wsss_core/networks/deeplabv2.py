"""DeepLab v2 as in deeplab-pytorch: an atrous pyramid on a dilated trunk, at several scales.

Chen et al., "DeepLab", TPAMI 2018. Details that the paper does not give follow the released code.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from wsss_core.errors import UserError
from wsss_core.networks.deeplab import AtrousPyramid, SegmentationNetwork
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.resizing import resized
from wsss_core.networks.trunks import TrunkNetwork
from wsss_core.networks.weights import trainable

# The authors' names of the parts of a bottleneck block, and torchvision's, which are used here.
_PARTS = {"reduce": ("conv1", "bn1"), "conv3x3": ("conv2", "bn2"), "increase": ("conv3", "bn3")}
_PARTS["shortcut"] = ("downsample.0", "downsample.1")
_BLOCK_NAME = re.compile(r"layer([2-5])\.block(\d+)\.(reduce|conv3x3|increase|shortcut)\.(conv|bn)\.(\w+)")
_STEM_NAME = re.compile(r"layer1\.conv1\.(conv|bn)\.(\w+)")
_PYRAMID_NAME = re.compile(r"aspp\.c(\d+)\.(weight|bias)")


class DeepLabV2(SegmentationNetwork):
    """An atrous pyramid on a trunk; the score of a class at a position is the largest over several sizes of the image.

    The authors use ResNet-101 with stride 8 in Caffe's form.
    """

    def __init__(
        self,
        trunk: TrunkNetwork,
        classes: Sequence[str],
        atrous_rates: Sequence[int] = (6, 12, 18, 24),
        input_scales: Sequence[float] = (0.5, 0.75),
    ) -> None:
        """Add a randomly initialised pyramid to ``trunk``.

        Args:
            trunk: the trunk.
            classes: names of the object classes, without the background.
            atrous_rates: dilations of the pyramid.
            input_scales: additional sizes of the image, as multiples of its own; may be empty.
        """
        super().__init__(trunk, classes)
        self.input_scales = tuple(input_scales)
        self.pyramid = AtrousPyramid(trunk.channels[-1], len(self.classes), atrous_rates)

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, h, w) at one scale; with the authors' trunk, h is H / 8 rounded up, or one more."""
        return self.pyramid(maps[-1])

    def at_one_scale(self, images: Tensor) -> Tensor:
        """Class scores (B, K + 1, h, w) of images (B, 3, H, W), normalised, at their own size, from 1x1."""
        return self.decode(self.trunk(images))

    def all_logits(self, images: Tensor, maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Scores at each scale, and their maximum.

        Args:
            images: (B, 3, H, W) float, normalised.
            maps: the result of ``encode`` for them; computed if not given.

        Returns:
            Logits (B, K + 1, h_i, w_i): of the image itself, of each of ``input_scales``, each at its own size, and
            their maximum at the first size. Without additional scales, only the first.
        """
        first = self.at_one_scale(images) if maps is None else self.decode(maps)
        logits = [first, *(self.at_one_scale(_scaled(images, scale)) for scale in self.input_scales)]
        if not self.input_scales:
            return logits
        size = logits[0].shape[2:]
        enlarged = [resized(part, size) for part in logits]
        # Not amax: of equal scores, one gets the gradient, as in the authors' code.
        return [*logits, torch.stack(enlarged).max(dim=0).values]

    def parameter_groups(self, head_factor: float = 10.0) -> list[ParameterGroup]:
        """The parameters that the authors optimise: all but those of batch normalisation.

        In a ResNet these are the convolutions; other trunks also have linear layers and layer normalisation.

        Args:
            head_factor: factor of the pyramid's weights; its biases have twice that factor, without weight decay.

        Returns:
            Groups of the trunk's parameters, the pyramid's weights and the pyramid's biases.
        """
        norms = [part for part in self.trunk.modules() if isinstance(part, nn.BatchNorm2d)]
        fixed = {id(parameter) for norm in norms for parameter in norm.parameters()}
        pyramid = dict(self.pyramid.named_parameters())
        return [
            ParameterGroup([weight for weight in trainable(self.trunk) if id(weight) not in fixed], 1.0),
            ParameterGroup([pyramid[name] for name in pyramid if name.endswith("weight")], head_factor),
            ParameterGroup(
                [pyramid[name] for name in pyramid if name.endswith("bias")], 2 * head_factor, weight_decay=0.0
            ),
        ]


def our_name(name: str) -> str:
    """The name in :class:`DeepLabV2`'s state dict for a name in deeplab-pytorch.

    Args:
        name: with or without the prefix ``base.`` of the authors' multi-scale wrapper.

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
    raise UserError(f"'{name}' is not a weight of deeplab-pytorch's DeepLab v2")


def from_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state dict of deeplab-pytorch to one of :class:`DeepLabV2`.

    Args:
        state: of DeepLab v2, or of DeepLab v1, with which the authors start: its classifier (``fc.*``) is left out, and
            the result does not contain the pyramid.

    Returns:
        The same tensors under our names. Batch counters, which old files lack, are added as 0; they are never used.

    Raises:
        UserError: a name is not one of deeplab-pytorch's.
    """
    renamed = {our_name(name): tensor for name, tensor in state.items() if not name.startswith(("fc.", "base.fc."))}
    for name in [name for name in renamed if name.endswith(".running_mean")]:
        renamed.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.tensor(0))
    return renamed


def _scaled(images: Tensor, scale: float) -> Tensor:
    """Images resized by a factor, sizes rounded down but at least 1."""
    if min(images.shape[2:]) * scale < 1:
        size = [max(1, int(side * scale)) for side in images.shape[2:]]
        return resized(images, size)
    # By the factor, not to the size: then positions do not depend on the rounding.
    return resized(images, scale_factor=scale)
