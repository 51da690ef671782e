"""AEFT's objective: classification by gated pyramid pooling, attraction and repulsion.

Yoon et al., ECCV 2022; computes what AEFT ``models/model_gpp_aeft_eccv22.py`` computes.
"""

from collections.abc import Sequence
from random import Random
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.classifiers.objective import Objective
from wsss_core.config.classifiers import AeftClassifier, Classifier
from wsss_core.config.networks import Trunk
from wsss_core.jobs.devices import sent_to
from wsss_core.networks.batch_norm import fixed_statistics
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.resizing import resized

EPSILON = 1e-5
"""Keeps quotients finite; the authors' value."""


class AeftObjective(Objective, name="aeft"):
    """Classification in all epochs; after ``warmup_epochs`` also the triplets' two losses."""

    @classmethod
    def build_network(cls, parameters: Classifier, trunk: Trunk, classes: Sequence[str]) -> ClassMapClassifier:
        """A trunk with class maps and their pyramid."""
        settings = cast(AeftClassifier, parameters)
        return GatedPyramidClassifier(
            trunk, classes, settings.feature_channels, settings.bins, settings.fusion, settings.order
        )

    def batch_size(self, epoch: int) -> int:
        """Images in a step: more when there are triplets."""
        settings = cast(AeftClassifier, self.parameters)
        grown = settings.triplet_batch_size if epoch >= settings.warmup_epochs else None
        return grown or settings.optimisation.batch_size

    def coupling_of_images(self) -> str | None:
        """Triplets are formed within a batch, and perhaps only its first images count."""
        settings = cast(AeftClassifier, self.parameters)
        if settings.repulsion_weight > 0:
            return "the triplets of 'repulsion_weight' are formed within a batch"
        if settings.classified_images is not None:
            return "'classified_images' counts the images of a batch"
        return None

    _partners: list[int] | None = None
    """The negatives of the next batch."""

    def prepare(self, labels: Tensor) -> None:
        """Choose the negatives of the next batch."""
        # Python's generator like the authors, but seeded from torch's, which is seeded in each epoch.
        generator = Random(int(torch.randint(2**62, ())))
        settings = cast(AeftClassifier, self.parameters)
        choose = disjoint_negatives if settings.negatives == "disjoint" else negatives
        self._partners = choose(labels, generator)

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """``classification``, ``attraction``, ``repulsion`` (all weighted), and ``loss``, their sum."""
        if self._partners is None:
            self.prepare(labels)
        partners, self._partners = self._partners, None
        assert partners is not None
        return self.triplet_losses(images, labels, epoch, partners)

    def triplet_losses(self, images: Tensor, labels: Tensor, epoch: int, partners: Sequence[int]) -> dict[str, Tensor]:
        """The losses with given negatives (``partners``, from :func:`negatives`). See :meth:`losses`."""
        settings, network = cast(AeftClassifier, self.parameters), cast(GatedPyramidClassifier, self.network)
        maps, pooled, logits = network.pool(images)
        classified = slice(settings.classified_images)
        losses = {
            "classification": settings.classification_weight
            * functional.binary_cross_entropy_with_logits(logits[classified], labels[classified])
        }
        if epoch >= settings.warmup_epochs:
            compared = pooled if settings.embedding == "pooled" else maps
            zero = torch.zeros((), device=images.device)
            losses["attraction"] = losses["repulsion"] = zero  # curves have the same columns in all epochs
            if settings.attraction_weight > 0:
                mask = erasing_mask(maps, labels, images.shape[2:], settings.high_threshold, settings.masking)
                with fixed_statistics(network):
                    erased = network.pool(images * mask)
                compared_erased = erased.pooled if settings.embedding == "pooled" else erased.maps
                attraction = attraction_loss(compared, compared_erased, labels)
                losses["attraction"] = settings.attraction_weight * attraction
            if settings.repulsion_weight > 0:
                repulsion = repulsion_loss(maps, compared, labels, partners, settings)
                losses["repulsion"] = settings.repulsion_weight * repulsion
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


def negatives(labels: Tensor, generator: Random) -> list[int]:
    """For each image, another one of the batch without a common class, chosen as by the authors.

    For each image they take the first image without a common class, in an order that is shuffled during the search each
    time that both an image with a common class and one without have been found. An image without any candidate adds
    nothing, and the next image then adds two: so a negative may share the image's class. If the last images have no
    candidate, the authors' code stops with an error; here they get -1.

    Args:
        labels: (B, K), above 0 for the image's classes.
        generator: shuffles the order.

    Returns:
        B positions in the batch, or -1 for an image without negative.
    """
    shown = (labels > 0).cpu()
    common = (shown[:, None] & shown[None]).any(dim=2).tolist()
    images = len(common)
    order, with_common = list(range(images)), 0
    without: list[int] = []
    for image in range(images):
        last = order[-1]
        for other in order:  # the shuffling below changes what comes next, as in the authors' code
            if other == last and with_common == image:
                with_common += 1
            if common[image][other] and with_common < image + 1:
                with_common += 1
            if not common[image][other] and len(without) < image + 1:
                without.append(other)
            if with_common == image + 1 and len(without) == image + 1:
                generator.shuffle(order)
    return without + [-1] * (images - len(without))


def disjoint_negatives(labels: Tensor, generator: Random) -> list[int]:
    """For each image, a random other one of the batch without a common class; -1 if there is none.

    Args:
        labels: (B, K), above 0 for the image's classes.
        generator: draws the images.
    """
    shown = (labels > 0).cpu()
    common = (shown[:, None] & shown[None]).any(dim=2).tolist()
    labelled = shown.any(dim=1).tolist()
    choices = [[j for j, shared in enumerate(row) if not shared and labelled[j]] for row in common]
    return [generator.choice(others) if others else -1 for others in choices]


def scaled_maps(maps: Tensor) -> Tensor:
    """Class maps (B, K, h, w), rectified and scaled by their minimum and maximum to [0, 1)."""
    rectified = maps.relu()
    lowest, highest = rectified.amin(dim=(2, 3), keepdim=True), rectified.amax(dim=(2, 3), keepdim=True)
    return functional.relu(rectified - lowest - EPSILON) / (highest - lowest + EPSILON)


def erasing_mask(
    maps: Tensor, labels: Tensor, size: torch.Size | tuple[int, int], high_threshold: float, masking: str
) -> Tensor:
    """The mask that makes the positive view of a triplet.

    Args:
        maps: raw class maps (B, K, h, w).
        labels: (B, K), 1 or 0.
        size: height and width of the images.
        high_threshold: values of at least this are erased.
        masking: ``soft`` or ``hard``; see ``AeftClassifier``.

    Returns:
        (B, 1, H, W) in [0, 1].
    """
    enlarged = resized(maps.relu(), size)
    foreground = (scaled_maps(enlarged) * labels[:, :, None, None]).amax(dim=1, keepdim=True)
    kept = (foreground < high_threshold).to(foreground)
    return kept * foreground if masking == "soft" else kept


def attraction_loss(compared: Tensor, compared_erased: Tensor, labels: Tensor) -> Tensor:
    """Mean absolute difference of two views' embeddings, over all classes (absent ones are 0).

    Args:
        compared: the images' pooled class maps (B, K, h, w), or their class maps.
        compared_erased: the same for the images with the confident region erased.
        labels: (B, K), 1 or 0.
    """
    anchors, positives = (functional.relu(view).mean(dim=(2, 3)) * labels for view in (compared, compared_erased))
    return (positives - anchors).abs().mean()


def embeddings(pooled: Tensor, region: Tensor) -> Tensor:
    """Means over a region of the pooled maps, scaled to a largest magnitude of 1: from twice (B, K, h, w) to (B, K)."""
    scaled = pooled / (pooled.abs().amax(dim=(2, 3), keepdim=True) + EPSILON)
    return (region * scaled).sum(dim=(2, 3)) / (region.sum(dim=(2, 3)) + EPSILON)


def repulsion_loss(
    maps: Tensor, compared: Tensor, labels: Tensor, partners: Sequence[int], settings: AeftClassifier
) -> Tensor:
    """Hinge loss between images' unconfident regions and images without common class.

    Args:
        maps: raw class maps (B, K, h, w).
        compared: the maps for embeddings, of the same shape: the pooled maps, or ``maps``.
        labels: (B, K), 1 or 0.
        partners: for each image, the position of its negative in the batch, or -1.
        settings: thresholds, margin, fewest triplets.

    Returns:
        The mean of margin - distance over hard triplets (those within the margin); 0 if there are too few.
    """
    shown = labels[:, :, None, None]
    unconfident = (scaled_maps(maps) * shown < settings.low_threshold).to(maps)
    anchors = embeddings(compared, unconfident) * labels
    # The authors' mask for negatives, map < 1, is true everywhere: scaled maps never reach 1.
    chosen = sent_to(labels, torch.tensor(partners))  # -1 chooses another image, which is not counted below
    others = (embeddings(compared, torch.ones_like(maps)) * labels)[chosen]
    distances = (anchors - others).pow(2).sum(dim=1)  # (B,)
    # Images without classes, which the authors' data do not have, are not counted.
    labelled = (labels > 0).any(dim=1)
    hard = (distances < settings.margin) & (chosen >= 0) & labelled & labelled[chosen]
    # Hard triplets are not selected, and their number is not read: that would wait for the device.
    number = hard.sum()
    total = torch.where(hard, settings.margin - distances, 0).sum()
    return torch.where(number < settings.fewest_hard_triplets, 0, total / number.clamp(min=1))
