"""AEFT's pooling and losses as the authors' code computes them, image by image and class by class."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from tests.oracles.cross_entropy import cross_entropy


def plain_bins(class_map: Tensor, cells: int) -> Tensor:
    """(h, w) averaged over cells x cells regions, which overlap where the size is no multiple."""
    pooled = torch.zeros(cells, cells, dtype=class_map.dtype)
    ends = [
        [(math.floor(i * side / cells), math.ceil((i + 1) * side / cells)) for i in range(cells)]
        for side in class_map.shape
    ]
    for i, (top, bottom) in enumerate(ends[0]):
        for j, (left, right) in enumerate(ends[1]):
            pooled[i, j] = class_map[top:bottom, left:right].mean()
    return pooled


def plain_fusion(first: Tensor, second: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Two maps (K, h, w), and the weights (2, 2 K, 3, 3) of the gates of either sign."""
    parts = []
    for weight, sign in ((positive, 1), (negative, -1)):
        one, other = (torch.where(sign * maps > 0, sign * maps, 0) for maps in (first, second))
        gates = 1 / (1 + torch.exp(-functional.conv2d(torch.cat([one, other])[None], weight, padding=1)[0]))
        parts.append(0.5 * (gates[0] * one + gates[1] * other))
    return parts[0] - parts[1]


def plain_pooling(
    maps: Tensor, bins: tuple[int, ...], fusion: str, order: str, gates: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """Class maps (K, h, w) of one image, pooled."""
    if not bins:
        return maps
    pooled = []
    for cells in bins:
        small = torch.stack([plain_bins(class_map, cells) for class_map in maps])
        pooled.append(functional.interpolate(small[None], size=maps.shape[1:], mode="bilinear")[0])
    if order == "fine_to_coarse":
        pooled.reverse()
    if fusion == "average":
        return sum(pooled) / len(pooled)
    fused = pooled[0]
    for number in range(1, len(pooled)):
        if fusion == "gated":
            fused = plain_fusion(fused, pooled[number], *gates[number - 1])
        else:
            fused = 0.5 * fused + 0.5 * pooled[number]
    return fused


def plain_logit(class_map: Tensor, pooled: Tensor, bins: tuple[int, ...]) -> Tensor:
    """The logit of a class from its map (h, w) and the pooled one."""
    if not bins:
        return class_map.mean()
    agreeing = torch.where((class_map > 0) & (pooled > 0), class_map * pooled, 0)
    denying = torch.where((class_map < 0) & (pooled < 0), class_map * pooled, 0)
    return agreeing.mean() - denying.mean()


def scaled(class_map: Tensor) -> Tensor:
    """(h, w) rectified, less its minimum, by its range; both with the authors' epsilon."""
    positive = torch.where(class_map > 0, class_map, 0)
    above = positive - positive.min() - 1e-5
    return torch.where(above > 0, above, 0) / (positive.max() - positive.min() + 1e-5)


def plain_mask(maps: Tensor, shown: list[int], size: torch.Size, high: float, masking: str) -> Tensor:
    """What an image of this size is multiplied by, from its class maps (K, h, w)."""
    foreground = torch.zeros(size, dtype=maps.dtype)
    for class_map, there in zip(maps, shown, strict=True):
        if there:
            positive = torch.where(class_map > 0, class_map, 0)
            large = functional.interpolate(positive[None, None], size=size, mode="bilinear")[0, 0]
            foreground = torch.maximum(foreground, scaled(large))
    kept = (foreground < high).to(maps)
    return kept * foreground if masking == "soft" else kept


def plain_embedding(pooled: Tensor, region: Tensor) -> Tensor:
    """The mean of one class's pooled map (h, w), by its largest magnitude, over a region of 0s and 1s."""
    by_largest = pooled / (pooled.abs().max() + 1e-5)
    return (by_largest * region).sum() / (region.sum() + 1e-5)


def plain_losses(
    network, images: Tensor, labels: list[list[int]], partners: list[int], parameters, triplets: bool
) -> dict[str, Tensor]:
    """Named losses.

    Args:
        network: has ``class_maps`` and ``pooling.gates``.
        images: (B, 3, H, W).
        labels: of each image 1 or 0 for each class.
        partners: of each image its negative, or -1.
        parameters: the objective's settings.
        triplets: the warm-up is over.
    """
    gates = [(gate.positive.weight, gate.negative.weight) for gate in network.pooling.gates]

    def pool(maps: Tensor) -> Tensor:
        return plain_pooling(maps, parameters.bins, parameters.fusion, parameters.order, gates)

    all_maps = [network.class_maps(image[None])[0] for image in images]
    all_pooled = [pool(maps) for maps in all_maps]
    logits = [
        torch.stack([plain_logit(one, other, parameters.bins) for one, other in zip(maps, pooled, strict=True)])
        for maps, pooled in zip(all_maps, all_pooled, strict=True)
    ]
    first = parameters.classified_images or len(logits)
    classification = parameters.classification_weight * cross_entropy(logits[:first], labels[:first])
    if not triplets:
        return {"loss": classification, "classification": classification}

    of_class_maps = parameters.embedding == "class_map"
    all_compared = all_maps if of_class_maps else all_pooled
    differences = []
    for image, maps, compared, shown in zip(images, all_maps, all_compared, labels, strict=True):
        mask = plain_mask(maps, shown, images.shape[2:], parameters.high_threshold, parameters.masking)
        erased = network.class_maps((image * mask)[None])[0]
        erased = erased if of_class_maps else pool(erased)
        for k, there in enumerate(shown):
            positive, anchor = (torch.where(view[k] > 0, view[k], 0).mean() for view in (erased, compared))
            differences.append(there * (positive - anchor).abs())
    attraction = parameters.attraction_weight * sum(differences) / len(differences)

    hard = []
    for number, (maps, compared, shown) in enumerate(zip(all_maps, all_compared, labels, strict=True)):
        other = partners[number]
        if other < 0:
            continue
        distance = torch.zeros((), dtype=images.dtype)
        for k, there in enumerate(shown):
            # Absent classes are not confident anywhere, but count for nothing anyway.
            unconfident = (scaled(maps[k]) < parameters.low_threshold).to(maps)
            anchor = there * plain_embedding(compared[k], unconfident)
            everywhere = torch.ones_like(maps[k])
            negative = labels[other][k] * plain_embedding(all_compared[other][k], everywhere)
            distance = distance + (anchor - negative) ** 2
        if distance < parameters.margin:
            hard.append(parameters.margin - distance)
    repulsion = torch.zeros((), dtype=images.dtype)
    if len(hard) >= parameters.fewest_hard_triplets:
        repulsion = parameters.repulsion_weight * sum(hard) / len(hard)
    return {
        "loss": classification + attraction + repulsion,
        "classification": classification,
        "attraction": attraction,
        "repulsion": repulsion,
    }
