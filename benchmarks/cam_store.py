"""Class maps on disk: HDF5 with each filter, data type and shape of chunks, against the authors' ``np.save``.

``python -m benchmarks.cam_store`` writes and reads maps of generated images of VOC's size, with 1 to 3
classes each: ``cam`` at stride 4 and ``high_res`` at the image's size, which were enlarged from a network's
stride of 16 at four scales. All ways take turns, several rounds, in a folder of its own (``--directory``).

* The authors' way (IRN's ``step/make_cam.py``): a dictionary of ``keys``, ``cam`` and ``high_res`` in
  float32, one ``.npy`` file an image.
* Ours, ``write_cam_store`` and ``CamStoreReader``: one file for all images.
* The same file with other filters, data types and chunks. A plugin that h5py does not bring is none of
  them: whoever reads the maps would have to install it.

Both speeds are by this process' processor time, as nothing else works on them, and a busy machine then
changes little; the wall time of the rounds is printed too. What is read comes from the operating system's memory.

``ratio`` is of bytes, the authors' over ours; ``deviation`` the largest difference of a value that is read from
the one in float32 that was written; values are at most 1.
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
    """How maps lie in the file."""

    filters: str
    dtype: str
    chunks: str


ALTERNATIVES = [
    *(Layout(name, "float16", "a map") for name in FILTERS),
    *(Layout(name, "float32", "a map") for name in ("none", "shuffle, lzf", "shuffle, gzip 1", "shuffle, gzip 4")),
    *(Layout("shuffle, gzip 4", "float16", chunks) for chunks in ("an image", "64x64")),
]


class Way(NamedTuple):
    """A way to keep maps: how they are written to a folder, and read as float32."""

    write: Callable[[Images, Path], None]
    read: Callable[[Images, Path], list[np.ndarray]]


class Figures(NamedTuple):
    """What a way costs."""

    bytes: float
    """An image."""
    written: float
    """Images a second of the processor."""
    read: float
    """The same."""
    deviation: float


def write_dictionaries(images: Images, folder: Path) -> None:
    """One file an image, as the authors do it."""
    for image in images:
        maps = {"keys": image.classes, "cam": image.cam, "high_res": image.high_res}
        np.save(folder / f"{image.image_id}.npy", maps)  # type: ignore[arg-type]  # a dictionary, as the authors do


def read_dictionaries(images: Images, folder: Path) -> list[np.ndarray]:
    """What the authors' way needs: these files are this benchmark's own, so that they may be unpickled."""
    paths = [folder / f"{image.image_id}.npy" for image in images]
    return [np.load(path, allow_pickle=True).item()["high_res"] for path in paths]


def write_ours(images: Images, folder: Path) -> None:
    """As the workflow does."""
    write_cam_store(folder / "cams.h5", [f"class{number}" for number in range(20)], {}, images)


def read_ours(images: Images, folder: Path) -> list[np.ndarray]:
    """As the workflow does."""
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
    """Write all images, read them, and say what it took."""
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
    """Let all ways take turns and print what they cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cam_store", description=__doc__)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians count (default: 3)")
    parser.add_argument("--directory", type=Path, help="where files are written (default: the temporary folder)")
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
    print("| data type, filter, chunk | KiB an image | images/s written | images/s read | deviation |")
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
