"""Computes class probabilities of images with a trained segmenter: images of one size together, at several scales."""

from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_indexed_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import images_named
from wsss_core.inference.pieces import in_pieces
from wsss_core.inference.scaled_images import ScaledBytes, pixels_at_once, scaled_images
from wsss_core.jobs.devices import OnTheWay
from wsss_core.jobs.read_ahead import ReadAhead
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.folded import folded_for_inference
from wsss_core.networks.resizing import resized

IMAGES_AT_ONCE = 8
"""A GPU gets at most this many at once, with their mirror images: more gain little and need memory."""
BATCHES_AHEAD = 2
"""At least this many batches are read (more with more threads) while the network is busy with another one."""


@dataclass(frozen=True)
class ImageBatch:
    """Images of one size, ready for the network."""

    positions: tuple[int, ...]
    """Their positions in the index."""
    images: list[np.ndarray]
    """As read: each (H, W, 3) uint8 RGB."""
    scaled: ScaledBytes
    """The same at each scale."""


@dataclass(frozen=True)
class ScoredImage:
    """An image and the network's result."""

    position: int
    """Its position in the index."""
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    probabilities: np.ndarray
    """(K + 1, H, W) float32, summing to 1 over the classes."""


def prediction_network(network: SegmentationNetwork, parameters: Prediction) -> SegmentationNetwork:
    """A copy of a segmenter that computes the same in less time; see ``folded_for_inference``."""
    return folded_for_inference(network, by_hand=parameters.arithmetic != "bfloat16")


def class_probabilities(network: SegmentationNetwork, image: np.ndarray, parameters: Prediction) -> Tensor:
    """Probabilities of every class at every pixel, averaged over scales and mirror images.

    Args:
        network: a segmenter, on its device.
        image: (H, W, 3) uint8 RGB.
        parameters: scales, flip, arithmetic.

    Returns:
        (K + 1, H, W) on the network's device, float32 (or wider, if its weights are), summing to 1 over the classes.
    """
    return _probabilities(network, scaled_images([image], parameters.scales), parameters)[0]


def batches_of(
    index: DatasetIndex, wanted: Collection[int], parameters: Prediction, device: torch.device
) -> list[tuple[int, ...]]:
    """Batches of positions of images that go through the network together.

    On a CPU, each image goes with its mirror image only, because larger batches gain nothing. On a GPU, images of one
    size go together. Batches affect rounding, so they depend only on the index: a batch with a wanted image is returned
    in full.

    Args:
        index: the images of a shard.
        wanted: positions of the images whose probabilities are wanted.
        parameters: scales and flip.
        device: the network's device.
    """
    if device.type != "cuda":
        return [(position,) for position in range(len(index)) if position in wanted]
    positions_of: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position, size in enumerate(index.sizes):
        positions_of[size].append(position)
    batches = []
    for (height, width), positions in positions_of.items():
        pixels = height * width * max(*parameters.scales, 1.0) ** 2 * (2 if parameters.flip else 1)
        together = min(IMAGES_AT_ONCE, max(1, int(pixels_at_once(device) // pixels)))
        batches += [tuple(positions[first : first + together]) for first in range(0, len(positions), together)]
    return [batch for batch in batches if any(position in wanted for position in batch)]


def scored_images(
    network: SegmentationNetwork,
    index: DatasetIndex,
    batches: Sequence[tuple[int, ...]],
    parameters: Prediction,
    threads: int = 1,
) -> Generator[ScoredImage]:
    """The probabilities of images, one after the other, while the next ones are read.

    Args:
        network: a segmenter, on its device.
        index: the images.
        batches: positions of images of one size, which go through the network together.
        parameters: scales, flip, arithmetic.
        threads: threads that read and rescale images.

    Yields:
        All images of the batches, in their order.

    Raises:
        UserError: an image cannot be read, or has another size than the index says.
    """
    device, image_ids, paths = next(network.parameters()).device, index.image_ids, index.image_paths
    sizes = index.sizes
    on_gpu = device.type == "cuda"

    def read(batch: tuple[int, ...]) -> ImageBatch:
        images = [read_indexed_image(paths[position], sizes[position]) for position in batch]
        scaled = scaled_images(images, parameters.scales)
        return ImageBatch(batch, images, scaled.pinned() if on_gpu else scaled)

    under_way: list[tuple[ImageBatch, list[OnTheWay]]] = []
    with ReadAhead(read, batches, threads, max(threads, BATCHES_AHEAD)) as read_batches:
        for batch in read_batches:
            with torch.inference_mode(), images_named([image_ids[position] for position in batch.positions]):
                found = partial(_sent_probabilities, network, batch.scaled, parameters)
                number, size = len(batch.images), batch.scaled.height * batch.scaled.width
                under_way.append((batch, in_pieces(found, number, number, size, "images")))
            while len(under_way) > on_gpu:  # a GPU gets the next batch before anything waits for this one
                yield from _arrived(*under_way.pop(0))
        for started in under_way:
            yield from _arrived(*started)


def _probabilities(network: SegmentationNetwork, images: ScaledBytes, parameters: Prediction) -> Tensor:
    """The mean probabilities of B images (B, K + 1, H, W) over scales and mirror images, on the network's device."""
    weight, size = next(network.parameters()), (images.height, images.width)
    number = len(images.scaled[0])
    total = torch.zeros(number, len(network.classes), *size, dtype=weight.dtype, device=weight.device)
    for batch in images.sent_to(weight).scaled:
        views = torch.cat([batch, batch.flip(3)]) if parameters.flip else batch
        views = views.contiguous(memory_format=torch.channels_last)
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=parameters.arithmetic == "bfloat16"):
            logits = torch.cat(
                in_pieces(
                    partial(_logits, network, views), len(views), len(views), views[0, 0].numel(), "views of images"
                )
            )
        # Class by class in memory, as in the result.
        logits = logits.to(weight.dtype).contiguous()
        logits = resized(logits, size)
        probabilities = logits.softmax(dim=1)
        total += probabilities[:number]
        if parameters.flip:
            total += probabilities[number:].flip(3)
    return total.div_(len(images.scaled) * (2 if parameters.flip else 1))


def _logits(network: SegmentationNetwork, views: Tensor, piece: slice) -> Tensor:
    """The logits of some of the views (N, 3, h, w)."""
    return network(views[piece])  # type: ignore[no-any-return]


def _sent_probabilities(
    network: SegmentationNetwork, images: ScaledBytes, parameters: Prediction, piece: slice
) -> OnTheWay:
    """The probabilities of some of the images, during the copy to the host."""
    return OnTheWay(_probabilities(network, images.some(piece), parameters))


def _arrived(batch: ImageBatch, found: Sequence[OnTheWay]) -> Iterator[ScoredImage]:
    """The images of a batch, after its probabilities (in one or several pieces) have arrived on the host."""
    each = (one for piece in found for one in piece.arrived().numpy())
    for position, image, probabilities in zip(batch.positions, batch.images, each, strict=True):
        yield ScoredImage(position, image, probabilities)
