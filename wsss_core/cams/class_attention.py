"""MCTformer+'s maps: the attention of class tokens to patches, joined with class maps and spread by patch attention.

Xu et al., "MCTformer+: Multi-Class Token Transformer for Weakly Supervised Semantic Segmentation", TPAMI 2024; written
from the paper's formulas, and compared with the results of the authors' code (``tests/parity/test_mctformer.py``).
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.cams.methods import cam_method, of_one_image, side_by_side_method
from wsss_core.config.cams import ClassAttentionCams
from wsss_core.inference.pieces import in_pieces
from wsss_core.inference.scaled_images import ScaledImages, pixels_at_once
from wsss_core.jobs.devices import sent_to
from wsss_core.networks.class_tokens import ClassTokenClassifier, Seen


@cam_method("class_attention")
def class_attention_maps(
    classifier: ClassTokenClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: ClassAttentionCams
) -> SummedMaps:
    """Sum the maps over scales and mirror images; each class's sum is scaled by its minimum and maximum.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows.
        parameters: scales, flip, blocks, which maps are joined, whether they are spread.
    """
    return of_one_image(class_attention_side_by_side, classifier, image, class_indices, parameters)


@side_by_side_method("class_attention")
def class_attention_side_by_side(
    classifier: ClassTokenClassifier,
    images: ScaledImages,
    class_indices: Sequence[Sequence[int]],
    parameters: ClassAttentionCams,
) -> SummedMaps:
    """The same for N images of one size; see :class:`~wsss_core.cams.methods.SideBySideMethod`."""
    like = images.scaled[0]
    owners, classes = (
        sent_to(like, torch.tensor(numbers))
        for numbers in zip(*((n, k) for n, own in enumerate(class_indices) for k in own), strict=True)
    )
    summed = SummedMaps(images.height, images.width, 1, normalisation="min_max")
    with torch.inference_mode():
        for clean in images.scaled:
            at_once = max(1, pixels_at_once(clean.device) // clean[0, 0].numel())
            views = torch.cat([clean, clean.flip(3)]) if parameters.flip else clean  # (N or 2N, 3, h, w)
            draw = partial(_maps_of, classifier, views, parameters)
            all_maps = torch.cat(in_pieces(draw, len(views), at_once, clean[0, 0].numel(), "views of images"))
            maps = all_maps.unflatten(0, (-1, len(clean)))[:, owners, classes]  # (1 or 2, K of all images, h', w')
            summed.add(maps[0] + maps[1].flip(2) if parameters.flip else maps[0], parameters.high_res)
    return summed


def _maps_of(classifier: ClassTokenClassifier, views: Tensor, parameters: ClassAttentionCams, piece: slice) -> Tensor:
    """Maps of all classes (B, all classes, h', w') for some of the views (N, 3, h, w)."""
    seen = classifier.see(views[piece], "drop", attention=True)
    maps = joined_maps(seen, parameters)
    return spread_along_patches(maps, seen.attention) if parameters.spread else maps


def joined_maps(seen: Seen, parameters: ClassAttentionCams) -> Tensor:
    """The maps before they are spread: (B, all classes, h, w), not negative.

    Args:
        seen: the result for one or several images, with attention.
        parameters: whether to use attention, class maps or both, and how many blocks.
    """
    patch_maps = seen.maps.relu()
    if parameters.evidence == "patches":
        return patch_maps
    attention = class_attention(seen, parameters.layers)
    return attention if parameters.evidence == "class_attention" else (attention * patch_maps).sqrt()


def class_attention(seen: Seen, layers: int) -> Tensor:
    """How much each class token attends to each patch, averaged over the last blocks: (B, all classes, h, w)."""
    classes, grid = seen.maps.shape[1], tuple(seen.maps.shape[2:])
    rows = [attention[:, :classes, classes:] for attention in seen.attention[-layers:]]
    return torch.stack(rows).mean(dim=0).unflatten(2, grid)


def patch_attention(attention: Sequence[Tensor], classes: int) -> Tensor:
    """How much the patches attend to each other, summed over all blocks: (B, h w, h w)."""
    return torch.stack([found[:, classes:, classes:] for found in attention]).sum(dim=0)


def spread_along_patches(maps: Tensor, attention: Sequence[Tensor]) -> Tensor:
    """Maps (B, all classes, h, w) with each patch's value replaced by the attention-weighted sum of all."""
    affinity = patch_attention(attention, maps.shape[1])
    return (maps.flatten(2) @ affinity.transpose(1, 2)).unflatten(2, tuple(maps.shape[2:]))
