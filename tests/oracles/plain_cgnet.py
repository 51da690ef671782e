"""CGNet's losses as OC-CSE's code computes them, image by image and class by class."""

import torch
from torch import Tensor
from torch.nn import functional

from tests.oracles.cross_entropy import cross_entropy


def plain_losses(
    network,
    ordinary,
    images: Tensor,
    labels: list[list[int]],
    drawn: list[int],
    erasing: str,
    weight: float,
    mask_maximum: str,
) -> dict[str, Tensor]:
    """Named losses.

    Args:
        network: has ``class_maps``.
        ordinary: the same; the frozen classifier.
        images: (B, 3, H, W).
        labels: of each image 1 or 0 for each class.
        drawn: of each image the class to erase; for ``class_specific``.
        erasing: ``class_specific``, ``class_agnostic`` or ``none``.
        weight: of the second loss.
        mask_maximum: ``batch`` or ``image``.
    """
    all_maps = [network.class_maps(image[None])[0] for image in images]
    logits = [torch.stack([class_map.mean() for class_map in maps]) for maps in all_maps]
    classification = cross_entropy(logits, labels)
    if erasing == "none":
        return {"loss": classification, "classification": classification}
    regions, targets = [], []
    for maps, shown, chosen in zip(all_maps, labels, drawn, strict=True):
        erased = [chosen] if erasing == "class_specific" else [k for k, there in enumerate(shown) if there]
        region = torch.zeros(images.shape[2:], dtype=images.dtype)
        for k in erased:
            large = functional.interpolate(maps[k][None, None], size=images.shape[2:], mode="bilinear")[0, 0]
            region = torch.maximum(region, torch.where(large > 0, large, 0))
        regions.append(region)
        targets.append([0 if k in erased else there for k, there in enumerate(shown)])
    highest = [region.max() for region in regions]
    if mask_maximum == "batch":
        highest = [torch.stack(highest).max()] * len(regions)
    judged = []
    for image, region, largest in zip(images, regions, highest, strict=True):
        maps = ordinary.class_maps((image * (1 - region / (largest + 1e-5)))[None])[0]
        judged.append(torch.stack([class_map.mean() for class_map in maps]))
    second = weight * cross_entropy(judged, targets)
    return {"loss": classification + second, "classification": classification, "erasing": second}
