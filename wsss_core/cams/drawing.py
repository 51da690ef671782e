"""From image files to class maps: reads ahead, draws images together and fetches maps from the device, all in parallel.

Threads read and rescale the next images. One thread draws maps. On a GPU it only launches the computations: it goes on
to the next images while the GPU computes, and the maps are copied back without it. The caller, which writes the maps,
waits only for those that have not arrived.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from wsss_core.cams.map_sizes import empty_maps
from wsss_core.cams.methods import CAM_METHODS, find_side_by_side_method
from wsss_core.config.cams import Cams
from wsss_core.datasets.images import read_indexed_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import images_named
from wsss_core.files.cam_store import ImageCams
from wsss_core.inference.cam_blocks import Blocks, Drawn
from wsss_core.inference.pieces import in_pieces
from wsss_core.inference.scaled_images import pixels_at_once, scaled_images
from wsss_core.jobs.devices import OnTheWay
from wsss_core.jobs.read_ahead import ReadAhead

IMAGES_AT_ONCE = 16
"""At most this many images are drawn at once, if they have one size and there is memory."""
CPU_GAINS_BELOW = 2**17
"""Pixels of images and mirror images that a CPU draws at once: small images take a fifth less time together
(docs/appendix/performance.md); larger ones are drawn one at a time, which takes less memory."""


class FromDevice(NamedTuple):
    """Maps of images' classes, one image's after the other, during the copy from the device."""

    positions: Sequence[int]
    """The images' positions in the index."""
    cam: OnTheWay
    """(K of all images, h, w) float32."""
    high_res: OnTheWay | None
    """(K of all images, height, width) float32."""


class Drawing:
    """Draws the maps of a data set's images with one method."""

    def __init__(self, parameters: Cams, classifier: Any, index: DatasetIndex, threads: int = 1) -> None:
        """Prepare.

        Args:
            parameters: the CAM method and its settings.
            classifier: on its device, in evaluation mode.
            index: the images; maps are drawn for each image's labels.
            threads: threads that read and rescale images for a GPU (30 ms an image of VOC's size at four scales).
        """
        name: str = parameters.method  # type: ignore[attr-defined]
        self.one, self.side_by_side = CAM_METHODS.find(name), find_side_by_side_method(name)
        self.parameters, self.classifier, self.threads = parameters, classifier, threads
        self.weight = next(classifier.parameters())
        self.on_gpu = self.weight.device.type == "cuda"
        self.classes = [np.flatnonzero(labels).astype(np.int16) for labels in index.label_matrix]
        self.image_ids, self.paths = index.image_ids, index.image_paths
        self.sizes = index.sizes

    def draw(self, blocks: Blocks) -> Drawn:
        """The maps of blocks of positions, block after block.

        Raises:
            UserError: an image cannot be read, or has changed its size.
        """
        batches = [batch for block in blocks for batch in self.batches(block)]
        readers = self.threads if self.on_gpu else 1
        with (
            ReadAhead(self.read, batches, threads=readers, ahead=readers) as read,
            # One thread for all of torch's computations: torch keeps threads of its own for each thread that uses it.
            ReadAhead(lambda number: self.maps(batches[number], read(number)), range(len(batches)), 1, 2) as drawn,
        ):
            for maps in drawn:
                for part in maps:
                    yield from self.fetched(part)

    def batches(self, block: Sequence[int]) -> list[list[int]]:
        """The positions of a block in groups that are drawn at once, in the order of their first images.

        Images without labels, and all images of a method without a second form, are drawn one at a time.
        """
        if self.side_by_side is None:
            return [[position] for position in block]
        pixels = pixels_at_once(self.weight.device) if self.on_gpu else CPU_GAINS_BELOW
        of_size: dict[tuple[int, ...], list[int]] = {}
        for position in block:
            alone = () if len(self.classes[position]) else (position,)
            of_size.setdefault((*self.sizes[position], *alone), []).append(position)
        groups = []
        for (height, width, *_), positions in of_size.items():
            at_once = min(IMAGES_AT_ONCE, max(1, pixels // (2 * height * width)))
            groups += [positions[first : first + at_once] for first in range(0, len(positions), at_once)]
        return sorted(groups)

    def read(self, batch: Sequence[int]) -> Any:
        """The method's input for a batch: the images at all scales, or for a method of one image, the image."""
        images = [read_indexed_image(self.paths[position], self.sizes[position]) for position in batch]
        if self.side_by_side is None or not len(self.classes[batch[0]]):
            return images[0]
        prepared = scaled_images(images, self.parameters.scales)  # type: ignore[attr-defined]
        return prepared.pinned() if self.on_gpu else prepared

    def maps(self, batch: Sequence[int], given: Any) -> list[FromDevice]:
        """Draw a batch's normalised maps from the result of :meth:`read`, and start copying them from the device.

        Returns:
            The maps of all images, in several parts if there was not enough memory for all at once.
        """

        def drawn(piece: slice) -> FromDevice:
            positions = batch[piece]
            classes = [self.classes[position].tolist() for position in positions]
            if not classes[0]:
                cam, high_res = empty_maps(*self.sizes[positions[0]], self.parameters.high_res)
            elif self.side_by_side is None:
                cam, high_res = self.one(self.classifier, given, classes[0], self.parameters).normalised()
            else:
                images = given.some(piece).sent_to(self.weight)
                cam, high_res = self.side_by_side(self.classifier, images, classes, self.parameters).normalised()
            sent = None if high_res is None else OnTheWay(high_res.float())
            return FromDevice(positions, OnTheWay(cam.float()), sent)

        height, width = self.sizes[batch[0]]
        with images_named([self.image_ids[position] for position in batch]):
            return in_pieces(drawn, len(batch), len(batch), height * width, "images")

    def fetched(self, maps: FromDevice) -> Drawn:
        """The maps of each image, after they have arrived."""
        counts = [len(self.classes[position]) for position in maps.positions]
        high_res = [None] * len(counts) if maps.high_res is None else maps.high_res.arrived().split(counts)
        for position, cam, large in zip(maps.positions, maps.cam.arrived().split(counts), high_res, strict=True):
            kept = None if large is None else large.numpy()
            yield ImageCams(self.image_ids[position], self.classes[position], cam.numpy(), kept, *self.sizes[position])
