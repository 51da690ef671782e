"""CLIP's image tower beside features of texts: a classifier that nothing is trained for.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; the tower as
CLIP-ES's ``clip/model.py`` changes it (Lin et al., CVPR 2023).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.token_trunk import Grid, TokenTrunk, recorded_attention


class BeforeTheLastBlock(NamedTuple):
    """What all but the last block make of images."""

    tokens: Tensor
    """(B, 1 + h w, C), the class token first."""
    attention: list[Tensor]
    """Of these blocks (B, 1 + h w, 1 + h w), the mean over the heads."""
    grid: Grid
    """h and w."""


class TextFeatureClassifier(ClassMapClassifier):
    """A tower of images, and features of the classes' texts and of the background's.

    Attributes:
        projection: from the tower's channels to the texts' features, (C, E).
        logit_scale: logarithm of what cosines are multiplied by, ().
        class_texts: features of the classes' texts, (K, E), of length 1.
        background_texts: the same of the background's, (B, E).
    """

    architecture = "text_features"
    trunk: TokenTrunk
    class_texts: Tensor
    background_texts: Tensor

    def __init__(self, trunk: Trunk, classes: Sequence[str], embedding: int, backgrounds: int) -> None:
        """Build the network with random weights, and features of 0.

        Args:
            trunk: the trunk's settings: a vision transformer of timm's.
            classes: names of the K classes.
            embedding: E.
            backgrounds: number of the background's texts.

        Raises:
            UserError: the trunk is no vision transformer.
        """
        self._embedding, self._backgrounds = embedding, backgrounds
        super().__init__(trunk, classes)
        self.requires_grad_(False)

    def add_layers(self, channels: int, classes: int) -> None:
        """Make the projection, and room for the texts' features."""
        if not isinstance(self.trunk, TokenTrunk):
            raise UserError("objective clip needs a vision transformer as trunk")
        self.trunk.resampling, self.trunk.rounded_to = clip_resampling, torch.float16  # both as CLIP-ES's code
        self.projection = nn.Parameter(torch.randn(channels, self._embedding) * channels**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(100.0).log())
        self.register_buffer("class_texts", torch.zeros(classes, self._embedding))
        self.register_buffer("background_texts", torch.zeros(self._backgrounds, self._embedding))

    def options(self) -> dict[str, Any]:
        """Length of the features, and number of the background's texts."""
        return {"embedding": self._embedding, "backgrounds": self._backgrounds}

    def class_maps(self, images: Tensor) -> Tensor:
        """There are none: what CLIP learned is of whole images.

        Raises:
            UserError: always.
        """
        raise UserError("a classifier with objective clip has no class maps; its CAM method is clip_gradcam")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): above 0 if the class is likelier than all of the background."""
        features = self.image_features(self.trunk.tokens(images).blocks[-1])
        return self.logits(features, self.class_texts) - self.logits(features, self.background_texts).logsumexp(
            dim=1, keepdim=True
        )

    def image_features(self, tokens: Tensor) -> Tensor:
        """Features (B, E) of length 1 of the last block's tokens (B, 1 + N, C): the mean over the patches.

        CLIP's own feature is the class token's; CLIP-ES leaves that out.
        """
        patches = self.trunk.body.norm(tokens)[:, self.trunk.body.num_prefix_tokens :]
        return functional.normalize((patches @ self.projection).mean(dim=1), dim=1)

    def logits(self, features: Tensor, texts: Tensor) -> Tensor:
        """Scaled cosines (B, T) of images' features (B, E), of length 1, and texts' (T, E)."""
        return self.logit_scale.exp() * features @ functional.normalize(texts, dim=1).T

    def before_the_last_block(self, images: Tensor) -> BeforeTheLastBlock:
        """Tokens and attention of images (B, 3, H, W) before the last block; whose gradient is then cheap."""
        patches, grid = self.trunk.patch_tokens(images)
        tokens, _ = self.trunk.with_positions(patches, grid)
        *earlier, _ = self.trunk.body.blocks
        with recorded_attention(earlier) as attention:
            for block in earlier:
                tokens = block(tokens)
        return BeforeTheLastBlock(tokens, attention, grid)


def clip_resampling(embeddings: Tensor, grid: Grid) -> Tensor:
    """Position embeddings (C, h, w) at another grid, bilinearly."""
    return functional.interpolate(embeddings[None], size=grid, mode="bilinear", align_corners=False)[0]
