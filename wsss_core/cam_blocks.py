"""Class maps of a shard, written in blocks of images, so that a killed job goes on after the last one."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss_core.cam_store import CAM_STRIDE, CamStoreReader, ImageCams, join_cam_stores, write_cam_store
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.progress import Progress
from wsss_core.resume import PartialWork

BLOCK_IMAGES = 32
"""Images that a killed job loses at most."""

log = logging.getLogger(__name__)


def write_cams_in_blocks(
    shard_file: Path,
    index: DatasetIndex,
    make: Callable[[int], ImageCams],
    provenance: Mapping[str, Any],
    inputs: Sequence[Path | str],
    precision: str,
    stride: int = CAM_STRIDE,
    description: str = "class maps",
    block_images: int = BLOCK_IMAGES,
) -> None:
    """Make and write the maps of all images of a shard; a killed call goes on after its last block.

    Args:
        shard_file: the HDF5 file to make, ``<artifact>/<folder>/<shard>.h5``.
        index: the shard's images.
        make: from an image's position in ``index`` to its maps.
        provenance: recorded in the file; the same for every run of the same work.
        inputs: files that the maps depend on, for resuming.
        precision: ``float16`` or ``float32``.
        stride: pixels of an image per cell of the maps, each way.
        description: for the progress bar and the log.
        block_images: images in a block.
    """
    partial = PartialWork(shard_file.parent.parent, shard_file.stem, inputs)
    if partial.restore(shard_file):
        return
    starts = range(0, len(index), block_images)
    blocks = [partial.path(f"block-{start:08d}.h5") for start in starts]
    sizes = [min(block_images, len(index) - start) for start in starts]
    done = sum(size for size, block in zip(sizes, blocks, strict=True) if block.exists())
    if done:
        log.info("%s: continuing after %d images", shard_file.name, done)
    counter = Progress(f"{description} {shard_file.stem}", len(index), done=done)

    def counted(positions: Iterable[int]) -> Iterable[ImageCams]:
        for position in positions:
            yield make(position)
            counter.advance()

    for start, size, block in zip(starts, sizes, blocks, strict=True):
        if not block.exists():
            images = counted(range(start, start + size))
            write_cam_store(block, index.classes, {}, images, precision, stride)
    counter.close()
    try:
        reader = CamStoreReader(blocks)
    except UserError:
        # Another job may have finished this very shard, and removed the blocks.
        if shard_file.exists() or partial.restore(shard_file):
            return
        raise
    with reader:
        join_cam_stores(shard_file, index.classes, provenance, index.image_ids, reader, stride)
    partial.finish(shard_file)
