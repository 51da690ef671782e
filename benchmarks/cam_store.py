"""Compares files of class maps: HDF5 with several filters, dtypes and chunk shapes, and the authors' ``np.save``.

``python -m benchmarks.cam_store`` writes and reads maps of generated images of VOC's size, with 1 to 3 classes each:
``cam`` at stride 4 and ``high_res`` at the image's size, enlarged from a network's stride of 16 at four scales. All
formats run in turn, for several rounds, each in its own folder (``--directory``).

* The authors' format (IRN's ``step/make_cam.py``): a dictionary of ``keys``, ``cam`` and ``high_res`` in float32, one
  ``.npy`` file for each image.
* Ours, ``write_cam_store`` and ``CamStoreReader``: one file for all images.
* The same file with other filters, dtypes and chunks, without filters that are not part of h5py, which users would have
  to install.

Both speeds use processor time of this process, which does all the work, so a busy machine has little effect; the wall
time of the rounds is also printed. Files are read from the operating system's cache.

``ratio`` is the authors' bytes over ours; ``deviation`` is the largest difference between a value that was read and the
float32 value that was written; values are at most 1.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from benchmarks.measuring import heading, last_line
from benchmarks.smooth_maps import make_cams
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.files.hdf5_file import create_hdf5

Images = Sequence[ImageCams]
SHUFFLED = {"shuffle": True}
GZIP = {level: {"compression": "gzip", "compression_opts": level} for level in (1, 4, 6, 9)}
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "shuffle, lzf": {**SHUFFLED, "compression": "lzf"},
    "gzip 4": GZIP[4],
    **{f"shuffle, gzip {level}": {**SHUFFLED, **options} for level, options in GZIP.items()},
}
CHUNKS: dict[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
    "a map": lambda shape: (1, *shape[1:]),
    "an image": lambda shape: shape,
    "64x64": lambda shape: (1, min(64, shape[1]), min(64, shape[2])),
}


class Layout(NamedTuple):
    """The layout of maps in the file."""

    filters: str
    dtype: str
    chunks: str


ALTERNATIVES = [
    *(Layout(name, "float16", "a map") for name in FILTERS),
    *(Layout(name, "float32", "a map") for name in ("none", "shuffle, lzf", "shuffle, gzip 1", "shuffle, gzip 4")),
    *(Layout("shuffle, gzip 4", "float16", chunks) for chunks in ("an image", "64x64")),
]


class Way(NamedTuple):
    """A format of maps: how to write them to a folder, and how to read them as float32."""

    write: Callable[[Images, Path], None]
    read: Callable[[Images, Path], list[np.ndarray]]


class Figures(NamedTuple):
    """The measurements of a format."""

    bytes: float
    """For each image."""
    written: float
    """Images written for each second of processor time."""
    read: float
    """Images read for each second of processor time."""
    deviation: float


def write_dictionaries(images: Images, folder: Path) -> None:
    """Write one file for each image, as in the authors' code."""
    for image in images:
        maps = {"keys": image.classes, "cam": image.cam, "high_res": image.high_res}
        np.save(folder / f"{image.image_id}.npy", maps)  # type: ignore[arg-type]  # a dictionary, as in their code


def read_dictionaries(images: Images, folder: Path) -> list[np.ndarray]:
    """Read files with pickled dictionaries, which is safe because this benchmark wrote them."""
    paths = [folder / f"{image.image_id}.npy" for image in images]
    return [np.load(path, allow_pickle=True).item()["high_res"] for path in paths]


def write_ours(images: Images, folder: Path) -> None:
    """Write maps as in the workflow."""
    write_cam_store(folder / "cams.h5", [f"class{number}" for number in range(20)], {}, images)


def read_ours(images: Images, folder: Path) -> list[np.ndarray]:
    """Read maps as in the workflow."""
    with CamStoreReader([folder / "cams.h5"]) as reader:
        return [reader.read(image.image_id).full_size() for image in images]


def alternative(layout: Layout) -> Way:
    """HDF5 in another layout."""

    def write(images: Images, folder: Path) -> None:
        with create_hdf5(folder / "cams.h5") as file:
            for image in images:
                group = file.create_group(image.image_id)
                group.create_dataset("classes", data=image.classes)
                for name, maps in {"cam": image.cam, "high_res": image.high_res}.items():
                    assert maps is not None
                    group.create_dataset(name, data=maps.astype(layout.dtype), **options(maps.shape))

    def options(shape: tuple[int, ...]) -> Mapping[str, Any]:
        filters = FILTERS[layout.filters]
        return {**filters, "chunks": CHUNKS[layout.chunks](shape)} if filters else {}

    def read(images: Images, folder: Path) -> list[np.ndarray]:
        found = []
        with h5py.File(folder / "cams.h5") as file:
            for image in images:
                group = file[image.image_id]
                _, _ = group["classes"][()], group["cam"][()].astype(np.float32)
                found.append(group["high_res"][()].astype(np.float32))
        return found

    return Way(write, read)


def one_round(way: Way, images: Images, directory: Path | None) -> Figures:
    """Write all images, read them, and measure both."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        start = time.process_time()
        way.write(images, Path(folder))
        writing = time.process_time() - start
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        start = time.process_time()
        found = way.read(images, Path(folder))
        reading = time.process_time() - start
    differences = [_difference(maps, image.high_res) for maps, image in zip(found, images, strict=True)]
    return Figures(size / len(images), len(images) / writing, len(images) / reading, max(differences))


def _difference(found: np.ndarray, given: np.ndarray | None) -> float:
    assert given is not None
    return float(np.abs(found - given).max())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all formats in turn and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cam_store", description=__doc__)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, whose medians are printed (default: 3)")
    parser.add_argument("--directory", type=Path, help="where to write files (default: the temporary folder)")
    options = parser.parse_args(arguments)
    images = [make_cams(seed, options.height, options.width) for seed in range(options.images)]
    print(heading(1))
    classes = sum(len(image.classes) for image in images) / len(images)
    print(f"{len(images)} images of {options.height}x{options.width}, {classes:.1f} classes each, HDF5 {_version()}")
    ways = {"np.save of dictionaries": Way(write_dictionaries, read_dictionaries), "ours": Way(write_ours, read_ours)}
    ways |= {f"{layout.dtype}, {layout.filters}, {layout.chunks}": alternative(layout) for layout in ALTERNATIVES}
    start = time.perf_counter()
    rounds = []
    for _ in range(options.rounds):
        rounds.append({name: one_round(way, images, options.directory) for name, way in ways.items()})
    print(f"{len(rounds)} rounds in {time.perf_counter() - start:.0f} s\n")
    print("| dtype, filter, chunk | KiB per image | images/s written | images/s read | deviation |")
    print("|---|---|---|---|---|")
    medians = {}
    for name in ways:
        median = Figures(*(statistics.median(column) for column in zip(*(done[name] for done in rounds), strict=True)))
        medians[name] = median
        speeds = f"{median.written:.0f} | {median.read:.0f}"
        print(f"| {name} | {median.bytes / 1024:.0f} | {speeds} | {median.deviation:.2g} |")
    print()
    ours = medians["ours"]
    print(last_line(medians["np.save of dictionaries"].bytes / ours.bytes, ours.deviation))


def _version() -> str:
    return str(h5py.version.hdf5_version)


if __name__ == "__main__":
    main()
