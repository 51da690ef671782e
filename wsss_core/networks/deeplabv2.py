"""DeepLab v2 as deeplab-pytorch has it: an atrous pyramid on a dilated trunk, which sees several scales.

Chen et al., "DeepLab", TPAMI 2018. What the released code does decides where the paper says nothing.
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

# The authors' parts of a bottleneck block, and torchvision's, which ours are.
_PARTS = {"reduce": ("conv1", "bn1"), "conv3x3": ("conv2", "bn2"), "increase": ("conv3", "bn3")}
_PARTS["shortcut"] = ("downsample.0", "downsample.1")
_BLOCK_NAME = re.compile(r"layer([2-5])\.block(\d+)\.(reduce|conv3x3|increase|shortcut)\.(conv|bn)\.(\w+)")
_STEM_NAME = re.compile(r"layer1\.conv1\.(conv|bn)\.(\w+)")
_PYRAMID_NAME = re.compile(r"aspp\.c(\d+)\.(weight|bias)")


class DeepLabV2(SegmentationNetwork):
    """An atrous pyramid on a trunk; of several sizes of the image, the largest score of each class and place counts.

    The authors' is on ResNet-101 of stride 8 in Caffe's form.
    """

    def __init__(
        self,
        trunk: TrunkNetwork,
        classes: Sequence[str],
        atrous_rates: Sequence[int] = (6, 12, 18, 24),
        input_scales: Sequence[float] = (0.5, 0.75),
    ) -> None:
        """Put a randomly initialised pyramid on ``trunk``.

        Args:
            trunk: the trunk.
            classes: names of the object classes, without the background.
            atrous_rates: dilations of the pyramid.
            input_scales: the image's further sizes, as multiples of its own; may be none.
        """
        super().__init__(trunk, classes)
        self.input_scales = tuple(input_scales)
        self.pyramid = AtrousPyramid(trunk.channels[-1], len(self.classes), atrous_rates)

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, h, w) of one scale; on the authors' trunk h is H / 8 rounded up, or one more."""
        return self.pyramid(maps[-1])

    def at_one_scale(self, images: Tensor) -> Tensor:
        """Class scores (B, K + 1, h, w) of images (B, 3, H, W) as they are, of any size from 1x1, normalised."""
        return self.decode(self.trunk(images))

    def all_logits(self, images: Tensor, maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Scores at each scale, and the largest of them.

        Args:
            images: (B, 3, H, W) float, normalised.
            maps: what ``encode`` returns for them; computed if not given.

        Returns:
            Logits (B, K + 1, h_i, w_i): of the image itself, of each of ``input_scales``, each at its own size, and
            their maximum at the first's size. Without further scales the first alone.
        """
        first = self.at_one_scale(images) if maps is None else self.decode(maps)
        logits = [first, *(self.at_one_scale(_scaled(images, scale)) for scale in self.input_scales)]
        if not self.input_scales:
            return logits
        size = logits[0].shape[2:]
        enlarged = [resized(part, size) for part in logits]
        # Not amax: where scales agree, the gradient goes to one of them, as in the authors' code.
        return [*logits, torch.stack(enlarged).max(dim=0).values]

    def parameter_groups(self, head_factor: float = 10.0) -> list[ParameterGroup]:
        """What the authors optimise: all but batch normalisation, which stays as it is.

        Of a ResNet these are the convolutions; other trunks have linear layers and layer normalisation as well.

        Args:
            head_factor: of the pyramid's weights; its biases learn twice as fast, without weight decay.

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


def _scaled(images: Tensor, scale: float) -> Tensor:
    """Images resized by a factor, sizes rounded down but at least 1."""
    if min(images.shape[2:]) * scale < 1:
        size = [max(1, int(side * scale)) for side in images.shape[2:]]
        return resized(images, size)
    # By the factor, not to the size: places in the image then do not depend on the rounding.
    return resized(images, scale_factor=scale)
