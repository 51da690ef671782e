"""Label maps, one palette PNG for each image, and the manifests that list them."""

import csv
import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_values import ignored_in, of_classes
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.table_file import damaged_table, read_table
from wsss_core.errors import UserError, full_disk_explained
from wsss_core.files.atomic import atomic_path
from wsss_core.files.record import read_record
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.progress import Progress

COLUMNS = ["image_id", "label_map"]
log = logging.getLogger(__name__)


def write_label_maps(
    index: DatasetIndex,
    make: Callable[[int], np.ndarray],
    manifest_csv: Path,
    inputs: Sequence[Path | str],
    description: str,
) -> None:
    """Make and write a label map for every image of a shard; see :func:`write_label_map_files`.

    Args:
        index: the shard's images.
        make: returns the label map, (H, W) uint8, of the image at a position in ``index``.
        manifest_csv: the table of image ids and files to write.
        inputs: files that the maps depend on.
        description: for the progress bar and the log.
    """

    def write(files: Mapping[int, Path]) -> Generator[int]:
        for position, file in files.items():
            write_label_map(file, make(position))
            yield position

    write_label_map_files(index, write, manifest_csv, inputs, description)


def write_label_map_files(
    index: DatasetIndex,
    write: Callable[[Mapping[int, Path]], Generator[int]],
    manifest_csv: Path,
    inputs: Sequence[Path | str],
    description: str,
) -> None:
    """Write a label map for every image of a shard, and then the manifest.

    The maps are next to the manifest, as ``<image_id>.png`` (in a subfolder if the id has a ``/``). Maps that a killed
    run has finished are kept, if its inputs were the same and they can be read.

    Args:
        index: the shard's images.
        write: writes the missing files (by the image's position in ``index``) in any order, each atomically; yields
            the position of each file when it is written.
        manifest_csv: the table of image ids and files to write.
        inputs: files that the maps depend on.
        description: for the progress bar and the log.
    """
    partial = PartialWork(manifest_csv.parent.parent, f"{manifest_csv.parent.name}-{manifest_csv.stem}", inputs)
    image_ids = index.image_ids
    files = [manifest_csv.parent / f"{image_id}.png" for image_id in image_ids]
    if all(file.exists() for file in files) and partial.restore(manifest_csv):
        return
    finished = partial.path("finished.txt")
    done = _finished(finished, image_ids, files)
    if done:
        log.info("%s: continuing after %d images", description, len(done))
    counter = Progress(description, len(index), done=len(done))
    missing = {
        position: file
        for position, (image_id, file) in enumerate(zip(image_ids, files, strict=True))
        if image_id not in done
    }
    with (
        full_disk_explained(finished),
        open(finished, "a", encoding="utf-8") as record,
        closing(write(dict(missing))) as written,
    ):
        for position in written:
            print(image_ids[position], file=record, flush=True)  # if cut short, it names no image: it is made again
            counter.advance()
            del missing[position]
    if missing:  # a manifest must not list missing files, whatever went wrong
        raise RuntimeError(f"no label map was made of image '{image_ids[min(missing)]}', for an unknown reason")
    counter.close()
    write_label_manifest({image_id: Path(f"{image_id}.png") for image_id in index.image_ids}, manifest_csv)
    partial.finish(manifest_csv)


def _finished(record: Path, image_ids: Sequence[str], files: Sequence[Path]) -> set[str]:
    """The images with a label map that an earlier run has finished; damaged maps are made again."""
    named = {*read_record(record)}
    done = set()
    for image_id, file in zip(image_ids, files, strict=True):
        if image_id in named and is_whole(file):
            done.add(image_id)
    return done


def is_whole(label_map: Path) -> bool:
    """Whether an earlier run has left a readable label map or mask; a damaged one is logged."""
    if not label_map.exists():
        return False
    try:
        read_mask(label_map)
    except UserError as error:
        log.warning("%s: is damaged (%s); it is made again", label_map, error)
        return False
    return True


def write_label_manifest(label_maps: Mapping[str, Path], manifest_csv: Path | str) -> None:
    """Write the table of images and their label maps (or masks).

    Args:
        label_maps: files by image id; a relative path starts from the manifest's folder.
        manifest_csv: the table to write.
    """
    with atomic_path(manifest_csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(label_maps.items())


def read_label_manifest(manifests: Iterable[Path | str]) -> dict[str, Path]:
    """The label maps that several shards' manifests list.

    Returns:
        Path of the label map by image id.

    Raises:
        UserError: a manifest cannot be read, or is something else.
    """
    maps: dict[str, Path] = {}
    for manifest in manifests:
        heading, *rows = read_table(manifest)
        if heading != COLUMNS:
            raise UserError(f"{manifest}: is not a list of label maps; its columns must be {', '.join(COLUMNS)}")
        for number, row in enumerate(rows, start=2):
            image_id, label_map = row
            if not image_id or not label_map or "\0" in label_map:
                raise damaged_table(manifest, f"row {number} names no image or no label map")
            if image_id in maps:
                raise damaged_table(manifest, f"row {number} lists image {image_id!r} again")
            maps[image_id] = Path(manifest).parent / label_map
    return maps


def read_label_map(path: Path | str, classes: int) -> np.ndarray:
    """Read a label map and check that its values are classes of the data set.

    Args:
        path: the PNG file.
        classes: how many classes the data set has.

    Returns:
        (H, W) in the dtype for ``classes``: 0 background, 1 and up the classes, 255 (65535) ignored.

    Raises:
        UserError: the file cannot be read, or has another value.
    """
    labels = read_mask(path)
    beyond = labels[labels != ignored_in(labels)].max(initial=0)
    if beyond > classes:
        raise UserError(
            f"{path}: has the value {beyond}; a label map of this data set has 0 (background) to {classes}, and "
            f"{ignored_in(labels)} for ignored pixels. Was it made for other classes? Make it again"
        )
    return of_classes(labels, classes)
