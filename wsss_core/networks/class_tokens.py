"""MCTformer+'s classifier: a vision transformer with one token for each class, and class maps from its patches.

Xu et al., "MCTformer+: Multi-Class Token Transformer for Weakly Supervised Semantic Segmentation", TPAMI 2024; written
from the paper's formulas.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.precision import single_precision
from wsss_core.networks.resizing import resized_bicubic
from wsss_core.networks.token_trunk import Grid, TokenTrunk

UNUSED = ("cls_token", "dist_token", "reg_token", "pos_embed", "norm.")
"""Prefixes of the trunk's weights that are not used: the classifier has its own class tokens and positions, and the
authors never apply the last normalisation."""


class Seen(NamedTuple):
    """The classifier's results for images."""

    class_tokens: list[Tensor]
    """The class tokens after each block, (B, K, C)."""
    maps: Tensor
    """Raw class maps of the patches (B, K, h, w)."""
    class_logits: Tensor
    """Means of the last class tokens, (B, K)."""
    patch_logits: Tensor
    """Ranked means of the class maps, (B, K)."""
    attention: list[Tensor]
    """The attention in each block (B, K + h w, K + h w), mean over the heads, classes first; empty unless requested."""


class ClassTokenClassifier(ClassMapClassifier):
    """Class tokens before the patches, and a 3x3 convolution on the patches after the last block.

    Attributes:
        class_tokens: (1, K, C).
        class_positions: position embeddings of the class tokens, (1, K, C).
        patch_positions: position embeddings of the patches of an image of ``input_size``, (1, N, C).
    """

    architecture = "class_tokens"
    trunk: TokenTrunk

    def __init__(self, trunk: Trunk, classes: Sequence[str], input_size: int, ranking_decay: float = 0.996) -> None:
        """Build the network with random weights from torch's global generator.

        Args:
            trunk: the trunk's settings: a vision transformer from timm.
            classes: names of the K classes.
            input_size: height and width of the training images, pixels.
            ranking_decay: decay of the weights of a class map's ranked values, see :func:`ranked_means`.

        Raises:
            UserError: the trunk is no vision transformer, or ``input_size`` is not a multiple of its patches' size.
        """
        self.input_size, self.ranking_decay = input_size, ranking_decay
        super().__init__(trunk, classes)

    def add_layers(self, channels: int, classes: int) -> None:
        """Add class tokens, positions, and the layer for class maps."""
        if not isinstance(self.trunk, TokenTrunk):
            raise UserError("class tokens need a vision transformer as trunk, such as timm's deit_small_patch16_224")
        if self.input_size % self.trunk.patch:
            raise UserError(f"images of {self.input_size} pixels are not made of patches of {self.trunk.patch}")
        side = self.input_size // self.trunk.patch
        self._own_grid: Grid = (side, side)
        self.class_tokens = nn.Parameter(torch.empty(1, classes, channels))
        self.class_positions = nn.Parameter(torch.empty(1, classes, channels))
        self.patch_positions = nn.Parameter(torch.empty(1, side * side, channels))
        for parameter in (self.class_tokens, self.class_positions, self.patch_positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        self.head = nn.Conv2d(channels, classes, 3, padding=1)
        for name, parameter in self.trunk.body.named_parameters():
            parameter.requires_grad_(not name.startswith(UNUSED))

    def options(self) -> dict[str, Any]:
        """The size of the training images and the decay of the ranks."""
        return {"input_size": self.input_size, "ranking_decay": self.ranking_decay}

    def begin_from_trunk(self) -> None:
        """Initialise class tokens and positions from those of the trunk.

        Each class token is a copy of the trunk's class token. The patches' positions are repeated side by side if the
        training images have a multiple of the trunk's own patches (the authors: 28 from 14), else interpolated.
        """
        body, own = self.trunk.body, tuple(self.trunk.body.patch_embed.grid_size)
        number = 0 if body.no_embed_class else body.num_prefix_tokens
        with torch.no_grad():
            if body.cls_token is not None:
                self.class_tokens.copy_(body.cls_token.expand_as(self.class_tokens))
            if body.pos_embed is None:
                return
            if number:
                self.class_positions.copy_(body.pos_embed[:, :1].expand_as(self.class_positions))
            sides = zip(self._own_grid, own, strict=True)
            times = [wanted // given if wanted % given == 0 else 0 for wanted, given in sides]
            if all(times):
                square = body.pos_embed[0, number:].T.unflatten(1, own).repeat(1, *times)  # (C, h, w)
                self.patch_positions.copy_(square.flatten(1).T[None])
            else:
                self.patch_positions.copy_(self.trunk.positions(self._own_grid, number))

    def see(self, images: Tensor, incomplete: str = "pad", attention: bool = False) -> Seen:
        """Tokens, class maps and both logits of images.

        Args:
            images: (B, 3, H, W), normalised.
            incomplete: how to treat incomplete patches, see :meth:`TokenTrunk.patch_tokens`.
            attention: also return the blocks' attention.
        """
        body, classes = self.trunk.body, len(self.classes)
        patches, grid = self.trunk.patch_tokens(images, incomplete)
        own = (self.class_tokens + self.class_positions).expand(len(patches), -1, -1)
        tokens = torch.cat([own, patches + self._positions(grid)], dim=1)
        blocks, seen = self.trunk.through_blocks(body.norm_pre(body.pos_drop(tokens)), attention)
        last = blocks[-1][:, classes:].transpose(1, 2).unflatten(2, grid)
        maps = single_precision(self.head(last))
        class_tokens = [single_precision(found[:, :classes]) for found in blocks]
        class_logits = class_tokens[-1].mean(dim=2)
        return Seen(class_tokens, maps, class_logits, ranked_means(maps, self.ranking_decay), seen)

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps (B, K, h, w) of the patches of images (B, 3, H, W), h = ceil(H / patch)."""
        return self.see(images).maps

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): the means of the class tokens' and the patches' logits."""
        seen = self.see(images)
        return (seen.class_logits + seen.patch_logits) / 2

    def attend(self, images: Tensor) -> tuple[list[Tensor], Grid]:
        """The attention between patches of images; see :meth:`TokenTrunk.attend`."""
        seen, classes = self.see(images, attention=True), len(self.classes)
        grid = seen.maps.shape[2], seen.maps.shape[3]
        return [found[:, classes:, classes:] for found in seen.attention], grid

    def _positions(self, grid: Grid) -> Tensor:
        """Positions of a grid's patches, (1, h w, C); as in the authors' code, bicubic without antialiasing."""
        if grid == self._own_grid:
            return self.patch_positions
        square = self.patch_positions.transpose(1, 2).unflatten(2, self._own_grid)
        return resized_bicubic(square, grid).flatten(2).transpose(1, 2)


def ranked_means(maps: Tensor, decay: float) -> Tensor:
    """Weighted means of class maps: a value of rank j (0 for the largest) has the weight ``decay ** j``.

    Args:
        maps: (B, K, h, w).
        decay: above 0, at most 1; 1 is the ordinary mean.

    Returns:
        (B, K).
    """
    ordered = maps.flatten(2).sort(dim=2, descending=True).values
    weights = decay ** torch.arange(ordered.shape[2], device=maps.device, dtype=maps.dtype)
    return (ordered * weights).sum(dim=2) / weights.sum()
