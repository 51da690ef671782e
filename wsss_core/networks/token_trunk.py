"""Token trunks: timm's plain vision transformers at any image size, with their blocks' attention."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.timm_models import pixel_statistics
from wsss_core.config.timm_tokens import create_tokens, token_layout
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.networks.resizing import resized_bicubic
from wsss_core.networks.timm_trunk import PixelStatistics
from wsss_core.networks.trunk_network import TrunkNetwork

Grid = tuple[int, int]
"""Rows and columns of patches."""
Resampling = Callable[[Tensor, Grid], Tensor]
"""Resamples position embeddings (C, h, w) of the model's own grid to (C, h', w') of another grid."""
_PREFIX_TOKENS = ("cls_token", "dist_token", "reg_token")
"""timm's names of the tokens before the patches' tokens, in order."""


class Tokens(NamedTuple):
    """The blocks' results for images: T = P + h w tokens, P of them before the patches' tokens."""

    blocks: list[Tensor]
    """The output of each block, (B, T, C), not normalised."""
    attention: list[Tensor]
    """The attention in each block (B, T, T), mean over the heads: of a token (row) to each other; rows sum to 1. Empty
    unless requested."""
    prefix: int
    """P."""
    grid: Grid
    """h and w."""

    def patches(self, tokens: Tensor) -> Tensor:
        """The patches' tokens of (B, T, C) as a map (B, C, h, w)."""
        return tokens[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)


class TokenTrunk(TrunkNetwork):
    """A plain vision transformer without its classifier. Its state dict has timm's names after ``body.``.

    The four maps are the patches' tokens after a quarter, half, three quarters and all of the blocks; the last one is
    normalised as for timm's own classifier.

    Attributes:
        channels: channels of the four maps, all equal.
        strides: the side of a patch, four times.
        patch: the side of a patch, pixels.
        resampling: resamples position embeddings to another grid.
        rounded_to: dtype to which all position embeddings are rounded; None for no rounding.
    """

    def __init__(self, model: str, resampling: Resampling | None = None) -> None:
        """Build the model with random weights from torch's global generator.

        Args:
            model: timm's name with a tag, which determines the mean and deviation of pixels.
            resampling: resamples position embeddings to another grid; by default timm's (bicubic, with antialiasing).

        Raises:
            ValueError: the model is not a plain vision transformer.
        """
        super().__init__()
        found = token_layout(model)
        if found is None:
            raise ValueError(f"timm's {model} is not a plain vision transformer")
        self.body = create_tokens(model)
        self.body.attn_pool, self.body.fc_norm = None, nn.Identity()
        self.patch, depth = found.patch, found.blocks
        self.channels, self.strides = (found.channels,) * 4, (found.patch,) * 4
        self.resampling = resampling or timm_resampling
        self.rounded_to: torch.dtype | None = None
        self._mapped = [-(-depth * quarter // 4) - 1 for quarter in (1, 2, 3, 4)]
        mean, deviation = pixel_statistics(model)
        same = mean == MEAN and deviation == STANDARD_DEVIATION
        self.pixels: nn.Module = nn.Identity() if same else PixelStatistics(mean, deviation)

    @classmethod
    def from_settings(cls, settings: Trunk) -> Self:
        """The trunk that ``settings.model`` names."""
        return cls(str(settings.model))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Four maps (B, C, h, w) of images (B, 3, H, W), h = ceil(H / ``patch``); any size from 1x1."""
        tokens = self.tokens(images)
        *shallow, last = (tokens.blocks[index] for index in self._mapped)
        return [tokens.patches(found) for found in (*shallow, self.body.norm(last))]

    def tokens(self, images: Tensor, attention: bool = False) -> Tokens:
        """The tokens of images, after each block.

        Args:
            images: (B, 3, H, W) float, normalised by ImageNet's mean and deviation; any size from 1x1. They are padded
                to whole patches at the right and the bottom, with zeros in the model's own scale.
            attention: also return the blocks' attention, which needs B T T values for each block.
        """
        patches, grid = self.patch_tokens(images)
        embedded, prefix = self.with_positions(patches, grid)
        blocks, seen = self.through_blocks(embedded, attention)
        return Tokens(blocks, seen, prefix, grid)

    def attend(self, images: Tensor) -> tuple[list[Tensor], Grid]:
        """The attention between patches of images (B, 3, H, W).

        Returns:
            The attention in each block (B, h w, h w), the mean over the heads; and h and w.
        """
        tokens = self.tokens(images, attention=True)
        return [found[:, tokens.prefix :, tokens.prefix :] for found in tokens.attention], tokens.grid

    def patch_tokens(self, images: Tensor, incomplete: str = "pad") -> tuple[Tensor, Grid]:
        """The embedded patches, without positions.

        Args:
            images: (B, 3, H, W) float, normalised by ImageNet's mean and deviation.
            incomplete: how to treat incomplete patches at the bottom and the right: ``pad`` fills them up with zeros,
                ``drop`` leaves them out (but keeps at least one patch).

        Returns:
            (B, h w, C), and h and w.
        """
        images = self.pixels(images)
        sizes = images.shape[2:]
        missing = [-side % self.patch if incomplete == "pad" or side < self.patch else 0 for side in sizes]
        if any(missing):
            images = functional.pad(images, (0, missing[1], 0, missing[0]))
        rows, columns = (side // self.patch for side in images.shape[2:])
        embedded = self.body.patch_embed(images[:, :, : rows * self.patch, : columns * self.patch])  # (B, h, w, C)
        return embedded.flatten(1, 2), (rows, columns)

    def through_blocks(self, tokens: Tensor, attention: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        """Tokens (B, T, C) with positions after each block; and, if requested, the blocks' attention.

        Returns:
            As ``blocks`` and ``attention`` of :class:`Tokens`.
        """
        made: list[Tensor] = []
        with recorded_attention(self.body.blocks if attention else ()) as seen:
            for block in self.body.blocks:
                tokens = block(tokens)
                made.append(tokens)
        return made, seen

    def freeze_stem(self) -> None:
        """Freeze the patches' embedding, the positions and the tokens before the patches' tokens."""
        self.body.patch_embed.requires_grad_(False)
        self.body.norm_pre.requires_grad_(False)
        for name in ("pos_embed", *_PREFIX_TOKENS):
            if getattr(self.body, name, None) is not None:
                getattr(self.body, name).requires_grad_(False)

    def with_positions(self, patches: Tensor, grid: Grid) -> tuple[Tensor, int]:
        """The first block's input tokens (B, T, C), and the number of those before the patches' tokens."""
        body, found = self.body, [getattr(self.body, name, None) for name in _PREFIX_TOKENS]
        prefix = [token.expand(len(patches), -1, -1) for token in found if token is not None]
        number = sum(token.shape[1] for token in prefix)
        if body.pos_embed is not None:
            own = 0 if body.no_embed_class else number  # positions that the prefix has
            patches = patches + self.positions(grid, own)
            if own:
                prefix = [torch.cat(prefix, dim=1) + self._rounded(body.pos_embed[:, :own])]
        return body.norm_pre(body.pos_drop(torch.cat([*prefix, patches], dim=1))), number

    def positions(self, grid: Grid, prefix: int) -> Tensor:
        """Position embeddings (1, h w, C) for a grid of patches; ``prefix`` is the number of those before them."""
        own: Grid = tuple(self.body.patch_embed.grid_size)
        embeddings = self.body.pos_embed[:, prefix:]
        square = embeddings[0].T.unflatten(1, own)  # (C, h, w)
        return self._rounded(self.resampling(square, grid).flatten(1).T[None])

    def _rounded(self, positions: Tensor) -> Tensor:
        return positions if self.rounded_to is None else positions.to(self.rounded_to).to(positions.dtype)


def timm_resampling(embeddings: Tensor, grid: Grid) -> Tensor:
    """Position embeddings (C, h, w) for another grid, as in timm: bicubic, with antialiasing, in float32."""
    if embeddings.shape[1:] == grid:
        return embeddings
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))[None]
    return resized_bicubic(wide, grid, antialias=True)[0].to(embeddings.dtype)


@contextmanager
def recorded_attention(blocks: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the attention (B, T, T), mean over heads, of blocks that run inside a ``with`` block, in a list.

    Meanwhile the blocks compute attention in its plain form, because torch's fused form never builds the whole matrix.
    """
    seen: list[Tensor] = []
    layers: list[Any] = [block.get_submodule("attn") for block in blocks]
    fused = [layer.fused_attn for layer in layers]
    hooks = [
        # The input of timm's dropout, which is only active in training: the matrices of all heads, (B, heads, T, T).
        layer.get_submodule("attn_drop").register_forward_hook(lambda _, given, found: seen.append(found.mean(dim=1)))
        for layer in layers
    ]
    try:
        for layer in layers:
            layer.fused_attn = False
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for layer, own in zip(layers, fused, strict=True):
            layer.fused_attn = own
