"""CLIP's image tower with features of texts: a classifier without training.

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
    """The results of all blocks but the last for images."""

    tokens: Tensor
    """(B, 1 + h w, C), the class token first."""
    attention: list[Tensor]
    """The attention in these blocks (B, 1 + h w, 1 + h w), the mean over the heads."""
    grid: Grid
    """h and w."""


class TextFeatureClassifier(ClassMapClassifier):
    """An image tower, and features of texts for the classes and the background.

    Attributes:
        projection: from the tower's channels to the texts' features, (C, E).
        logit_scale: logarithm of the factor of cosines, ().
        class_texts: features of the classes' texts, (K, E), of length 1.
        background_texts: features of the background's texts, (B, E), of length 1.
    """

    architecture = "text_features"
    trunk: TokenTrunk
    class_texts: Tensor
    background_texts: Tensor

    def __init__(self, trunk: Trunk, classes: Sequence[str], embedding: int, backgrounds: int) -> None:
        """Build the network with random weights, and features of 0.

        Args:
            trunk: the trunk's settings: a vision transformer from timm.
            classes: names of the K classes.
            embedding: E, the length of features.
            backgrounds: number of the background's texts.

        Raises:
            UserError: the trunk is no vision transformer.
        """
        self._embedding, self._backgrounds = embedding, backgrounds
        super().__init__(trunk, classes)
        self.requires_grad_(False)

    def add_layers(self, channels: int, classes: int) -> None:
        """Add the projection, and buffers for the texts' features."""
        if not isinstance(self.trunk, TokenTrunk):
            raise UserError("objective clip needs a vision transformer as trunk")
        self.trunk.resampling, self.trunk.rounded_to = clip_resampling, torch.float16  # both as CLIP-ES's code
        self.projection = nn.Parameter(torch.randn(channels, self._embedding) * channels**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(100.0).log())
        self.register_buffer("class_texts", torch.zeros(classes, self._embedding))
        self.register_buffer("background_texts", torch.zeros(self._backgrounds, self._embedding))

    def options(self) -> dict[str, Any]:
        """The length of the features, and the number of the background's texts."""
        return {"embedding": self._embedding, "backgrounds": self._backgrounds}

    def class_maps(self, images: Tensor) -> Tensor:
        """Raise an error: CLIP was trained on whole images, and has no class maps.

        Raises:
            UserError: always.
        """
        raise UserError("a classifier with objective clip has no class maps; its CAM method is clip_gradcam")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): above 0 if the class is likelier than the whole background."""
        features = self.image_features(self.trunk.tokens(images).blocks[-1])
        return self.logits(features, self.class_texts) - self.logits(features, self.background_texts).logsumexp(
            dim=1, keepdim=True
        )

    def image_features(self, tokens: Tensor) -> Tensor:
        """Features (B, E) of length 1 from the last block's tokens (B, 1 + N, C): the mean over the patches.

        CLIP itself uses the class token's feature; CLIP-ES leaves it out.
        """
        patches = self.trunk.body.norm(tokens)[:, self.trunk.body.num_prefix_tokens :]
        return functional.normalize((patches @ self.projection).mean(dim=1), dim=1)

    def logits(self, features: Tensor, texts: Tensor) -> Tensor:
        """Scaled cosines (B, T) between features of images (B, E), of length 1, and of texts (T, E)."""
        return self.logit_scale.exp() * features @ functional.normalize(texts, dim=1).T

    def before_the_last_block(self, images: Tensor) -> BeforeTheLastBlock:
        """Tokens and attention of images (B, 3, H, W) before the last block, whose gradient is cheap."""
        patches, grid = self.trunk.patch_tokens(images)
        tokens, _ = self.trunk.with_positions(patches, grid)
        *earlier, _ = self.trunk.body.blocks
        with recorded_attention(earlier) as attention:
            for block in earlier:
                tokens = block(tokens)
        return BeforeTheLastBlock(tokens, attention, grid)


def clip_resampling(embeddings: Tensor, grid: Grid) -> Tensor:
    """Position embeddings (C, h, w) for another grid, by bilinear interpolation."""
    return functional.interpolate(embeddings[None], size=grid, mode="bilinear", align_corners=False)[0]
