"""CLIP-ES's maps: Grad-CAM of a text's probability at CLIP's last block, spread along the tower's attention.

Lin et al., "CLIP is Also an Efficient Segmenter: A Text-Driven Approach for Weakly Supervised Semantic Segmentation",
CVPR 2023, sections 3.1 to 3.3; computes what CLIP-ES ``generate_cams_voc12.py`` computes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.cams.map_sizes import SummedMaps, small_size
from wsss_core.cams.methods import cam_method
from wsss_core.config.cams import ClipGradcamCams
from wsss_core.datasets.transforms import normalise
from wsss_core.jobs.devices import sent_to
from wsss_core.networks.clip import TextFeatureClassifier
from wsss_core.networks.token_trunk import recorded_attention
from wsss_core.refinement.attention import attention_affinity, scaled, spread_by_attention, whole_patches


class ClipEvidence(NamedTuple):
    """The tower's evidence for an image's classes."""

    probabilities: Tensor
    """(K + B,): probabilities of the image's classes, and then of the background's texts; they sum to 1."""
    gradients: Tensor
    """Gradients of each class's probability at ``activations``, (K, C, h, w)."""
    activations: Tensor
    """Normalised input of the last block's attention, patches only, (C, h, w)."""
    attention: list[Tensor]
    """How much the patches attend to each other in each block, (h w, h w)."""

    @property
    def gradcam(self) -> Tensor:
        """Sums of activations weighted by the mean gradients, not rectified: (K, h, w)."""
        weights = self.gradients.mean(dim=(2, 3))  # (K, C)
        return torch.einsum("kc,chw->khw", weights, self.activations)


@cam_method("clip_gradcam")
def clip_gradcam_maps(
    classifier: TextFeatureClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: ClipGradcamCams
) -> SummedMaps:
    """The maps of an image, in [0, 1) at the patches; resizing makes their maxima a little smaller.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows.
        parameters: whether and how maps are spread.
    """
    weight = next(classifier.parameters())
    pixels = sent_to(weight, normalise(whole_patches(image, classifier.trunk.patch)))
    evidence = clip_evidence(classifier, pixels, class_indices)
    with torch.no_grad():
        maps = scaled(scaled(evidence.gradcam.relu()))  # twice, like the authors: brings tiny gradients back to 1
        if parameters.spread is not None:
            chosen = evidence.attention[-parameters.spread.layers :]
            affinity = attention_affinity(chosen, parameters.spread)
            maps = scaled(spread_by_attention(maps**parameters.spread.cam_power, affinity, parameters.spread))
        height, width = image.shape[:2]
        high_res: Tensor | float = _resized(maps, (height, width)) if parameters.high_res else 0.0
        small = _resized(maps, small_size(height, width))
    return SummedMaps(height, width, cam=small, high_res=high_res, normalisation="none")


def clip_evidence(classifier: TextFeatureClassifier, pixels: Tensor, class_indices: Sequence[int]) -> ClipEvidence:
    """Probabilities of an image's classes, and their gradients at the last block.

    Only texts of the image's own classes and of the background compete. The gradient reaches the last block's input
    only through its attention, not through the residual connection.

    Args:
        classifier: see :func:`clip_gradcam_maps`.
        pixels: (3, h, w), normalised, of whole patches.
        class_indices: the K classes the image shows.
    """
    body, prefix = classifier.trunk.body, classifier.trunk.body.num_prefix_tokens
    with torch.no_grad():
        before = classifier.before_the_last_block(pixels[None])
        block = body.blocks[-1]
        normalised = block.norm1(before.tokens)
    with torch.enable_grad(), recorded_attention([block]) as last:
        given = normalised.requires_grad_()
        tokens = before.tokens + block.ls1(block.attn(given))
        tokens = tokens + block.ls2(block.mlp(block.norm2(tokens)))
        own = torch.stack([classifier.class_texts[k] for k in class_indices])  # indexing with a list would copy it
        texts = torch.cat([own, classifier.background_texts])
        probabilities = classifier.logits(classifier.image_features(tokens), texts)[0].softmax(dim=0)
        gradients = [
            torch.autograd.grad(probabilities[position], given, retain_graph=True)[0]
            for position in range(len(class_indices))
        ]

    def as_maps(found: Tensor) -> Tensor:
        return found[:, prefix:].transpose(1, 2).unflatten(2, before.grid).detach()

    return ClipEvidence(
        probabilities.detach(),
        as_maps(torch.cat(gradients)),
        as_maps(given)[0],
        [found[0, prefix:, prefix:].detach() for found in (*before.attention, *last)],
    )


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (K, h, w) at another size, bilinearly."""
    return functional.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
