"""Writes the class maps of a shard in blocks of images, so that a killed job continues after the last block."""

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CAM_STRIDE, CamStoreReader, ImageCams, join_cam_stores, write_cam_store
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.progress import Progress
from wsss_core.jobs.run import Run

BLOCK_IMAGES = 32
"""A killed job loses at most this many images."""

Blocks = Sequence[Sequence[int]]
"""Positions of images in an index."""
Drawn = Generator[ImageCams, None, None]
"""The images' maps, one by one."""

log = logging.getLogger(__name__)


def write_cams_in_blocks(
    shard_file: Path,
    index: DatasetIndex,
    draw: Callable[[Blocks], Drawn],
    run: Run,
    precision: str,
    stride: int = CAM_STRIDE,
    description: str = "class maps",
    block_images: int = BLOCK_IMAGES,
) -> None:
    """Make and write the maps of all images of a shard; a killed call continues after its last complete block.

    Args:
        shard_file: the HDF5 file to write, ``<artifact>/<folder>/<shard>.h5``.
        index: the shard's images.
        draw: takes blocks of positions in ``index`` and yields the images' maps, block after block, and always in the
            same order within a block. It may work ahead: it is closed at the end, or when an image cannot be written.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.
        precision: ``float16`` or ``float32``.
        stride: pixels of an image for each cell of the maps, in both directions.
        description: for the progress bar and the log.
        block_images: images in a block.
    """
    partial = PartialWork(shard_file.parent.parent, shard_file.stem, run.inputs)
    if partial.restore(shard_file):
        return
    blocks = [range(start, min(start + block_images, len(index))) for start in range(0, len(index), block_images)]
    files = [partial.path(f"block-{block.start:08d}.h5") for block in blocks]
    image_ids = index.image_ids
    left = [
        (block, file)
        for block, file in zip(blocks, files, strict=True)
        if not _is_whole(file, [image_ids[position] for position in block], index.classes)
    ]
    done = len(index) - sum(len(block) for block, _ in left)
    if done:
        log.info("%s: continuing after %d images", shard_file.name, done)
    counter = Progress(f"{description} {shard_file.stem}", len(index), done=done)

    def counted(images: Iterable[ImageCams]) -> Iterable[ImageCams]:
        for image in images:
            yield image
            counter.advance()

    with closing(draw([block for block, _ in left])) as drawn:
        for block, file in left:
            write_cam_store(file, index.classes, {}, counted(islice(drawn, len(block))), precision, stride)
    counter.close()
    try:
        reader = CamStoreReader(files)
    except UserError:
        # Another job may have finished the same shard, and removed the blocks.
        if shard_file.exists() or partial.restore(shard_file):
            return
        raise
    with reader:
        join_cam_stores(shard_file, index.classes, run.provenance, index.image_ids, reader, stride)
    partial.finish(shard_file)


def _is_whole(block_file: Path, image_ids: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether an earlier call has left a complete, readable block; a damaged one is drawn again."""
    if not block_file.exists():
        return False
    try:
        with CamStoreReader([block_file]) as reader:
            for image_id in reader.image_ids:
                reader.read(image_id)
            fits = reader.classes == tuple(classes) and {*reader.image_ids} == {*image_ids}
        if not fits:
            log.warning("%s: holds other images or classes; it is made again", block_file)
        return fits
    except UserError as error:
        log.warning("%s: it is made again", error)
        return False
