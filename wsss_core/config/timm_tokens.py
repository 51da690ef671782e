"""Which of timm's models are plain vision transformers, and what their tokens are.

timm is imported only when a configuration names one of its models: that takes three seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class TokenLayout:
    """The tokens of a plain vision transformer."""

    patch: int
    """Pixels of the image per patch, each way."""
    channels: int
    """Of a token."""
    blocks: int
    """Number of transformer blocks."""
    prefix: int
    """Tokens before the patches': class, distillation and register tokens."""


@cache
def token_layout(model: str) -> TokenLayout | None:
    """The tokens of a model, found without making weights; None if it is not a plain vision transformer.

    A plain one is timm's ``VisionTransformer`` with ordinary blocks and attention: ViT, DeiT, DINO's, CLIP's. Its
    patches are square, and it has an absolute position embedding, or none.

    Args:
        model: timm's name.
    """
    import torch

    try:
        with torch.device("meta"):
            whole = _registry().create_model(model, pretrained=False, num_classes=0)
    except (TypeError, AssertionError, RuntimeError, ValueError):
        return None  # a trunk of maps gives the reason
    return _layout_of(whole)


def create_tokens(model: str) -> Any:
    """Timm's plain vision transformer without a classifier's layers, for images of any size; random weights."""
    return _registry().create_model(model, pretrained=False, num_classes=0, dynamic_img_size=True)


def check_tokens(model: str, layout: TokenLayout, output_stride: int, dilated: bool, strides: Sequence[int]) -> None:
    """Check that the trunk's settings fit the model's patches.

    Args:
        model: timm's name.
        layout: the model's tokens.
        output_stride: as set, pixels.
        dilated: as set.
        strides: the output strides that a trunk may have, pixels.

    Raises:
        ValueError: they do not; the message says what would be right.
    """
    if dilated:
        raise ValueError(f"'dilated' is for convolutions, and timm's {model} is a vision transformer")
    if output_stride == layout.patch:
        return
    if layout.patch in strides:
        raise ValueError(
            f"timm's {model} has patches of {layout.patch} pixels: set 'output_stride: {layout.patch}', not "
            f"{output_stride}"
        )
    raise ValueError(
        f"timm's {model} has patches of {layout.patch} pixels, and a trunk's output_stride is one of "
        f"{', '.join(map(str, strides))}; take a model with such patches"
    )


def _layout_of(whole: Any) -> TokenLayout | None:
    from timm.layers import Attention
    from timm.models.vision_transformer import Block, VisionTransformer

    # Subclasses may compute something else; DeiT's, with a second prefix token, differs only in that token.
    if type(whole).__name__ != "VisionTransformerDistilled" and type(whole) is not VisionTransformer:
        return None
    patch, blocks = whole.patch_embed.patch_size, list(whole.blocks)
    if patch[0] != patch[1] or any(type(part) is not Block or type(part.attn) is not Attention for part in blocks):
        return None
    return TokenLayout(patch[0], whole.embed_dim, len(blocks), whole.num_prefix_tokens)


def _registry() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"network: timm needs the Python package timm ({error}); pip install timm") from None
    return timm
