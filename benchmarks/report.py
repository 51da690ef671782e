"""Measures how fast the report of a large run opens in Chromium, and the size of its files.

``python -m benchmarks.report`` simulates a run on many generated images: their masks, and for each of several
experiments class maps and label maps, which are shifted masks. They are written by the package's own functions, so
that pictures compress like real ones. Then it makes the report, and opens it from the disk several times in a fresh
headless Chromium. The time is measured by the browser, from the start of the navigation until the page is loaded and
laid out and its scripts have run.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from benchmarks.measuring import MEBIBYTE, heading, seconds
from wsss_core.config.class_names import CREATURE_CLASSES
from wsss_core.config.dataset import Creatures
from wsss_core.datasets.creatures.creatures import generate_creatures
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex, join_labels, write_index
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.voc.voc_layout import IMAGES, MASKS
from wsss_core.files.cam_store import CAM_STRIDE, ImageCams, write_cam_store
from wsss_core.files.climb_store import ImageClimb, write_climbs
from wsss_core.report.make_report import Run, make_report
from wsss_core.report.pictured import Pictured

VAL_SHARE = 4
"""Every fourth image is for validation."""
CLIMBS, STEPS = 3, 27
"""Number of recorded climbs, and AdvCAM's default number of steps."""
TIMED = """<script>addEventListener("load", () => {
document.body.getBoundingClientRect(); document.body.textContent = "TOOK" + performance.now() + "MS"; });</script>"""


@dataclass(frozen=True)
class Figures:
    """The measurements."""

    pages: int
    """Number of files: the page, and those of a gallery that is too large for it."""
    largest: int
    """Bytes of the largest file."""
    all: int
    """Bytes of all files."""
    made: float
    """Seconds for making them."""
    opened: Sequence[float]
    """Seconds for opening the largest, each time; empty without a browser."""


def invented_run(folder: Path, images: int, size: int, experiments: int, shown: int) -> Run:
    """Write the artifacts of a simulated run.

    Args:
        folder: where to write.
        images: training and validation images together.
        size: height and width of an image, pixels.
        experiments: number of experiments.
        shown: largest number of images of a split in the gallery.
    """
    val = images // VAL_SHARE
    parameters = Creatures(train_images=images - val, val_images=val, size=size, seed=0)
    generate_creatures(folder / "raw", parameters)
    files = sorted((folder / "raw" / IMAGES).glob("*.jpg"))  # training images come first
    masks = {file.stem: folder / "raw" / MASKS / f"{file.stem}.png" for file in files}
    pictures = {image_id: read_mask(mask) for image_id, mask in masks.items()}
    train = list(masks)[: images - val]
    rows = [
        [
            *(file.stem, "train" if file.stem in train else "val", str(file), size, size),
            join_labels(_names(pictures[file.stem]), CREATURE_CLASSES),
        ]
        for file in files
    ]
    columns = ["image_id", "split", "image", "height", "width", "labels"]
    write_index(
        DatasetIndex(CREATURE_CLASSES, pandas.DataFrame(rows, columns=columns)),
        folder / "index.csv",
        folder / "classes.json",
    )
    write_label_manifest(masks, folder / "masks.csv")
    maps = {f"method_{k}": _invented_maps(folder / f"method_{k}", pictures, train, k) for k in range(experiments)}
    climbs = {"advcam": {"file": _invented_climbs(folder, pictures, train), "threshold": _fixed()}}
    described: dict[str, Any] = {
        name: {
            "labels": "pseudo",
            "seed_threshold": _fixed(),
            "walk_threshold": _fixed(),
            "published": None,
            "scores": {},
        }
        for name in maps
    }
    listed = str(folder / "index.csv"), str(folder / "classes.json"), str(folder / "masks.csv")
    pictured = Pictured(*listed, maps, dict.fromkeys(maps, _fixed()), shown)
    stages: dict[str, dict[str, str]] = {name: {} for name in maps}
    return Run("invented", folder, described, stages, [], [], pictured, climbs)


def _fixed() -> dict[str, Any]:
    return {"fixed": 0.3, "file": None, "source": "fixed"}


def _names(labels: np.ndarray) -> set[str]:
    return {name for value, name in enumerate(CREATURE_CLASSES, start=1) if (labels == value).any()}


def _invented_maps(
    folder: Path, pictures: dict[str, np.ndarray], train: Sequence[str], number: int
) -> dict[str, list[str]]:
    """An experiment's class maps and label maps: the masks, shifted by some pixels; class maps are coarse."""
    moved = {image_id: np.roll(labels, 2 * number + 1, axis=number % 2) for image_id, labels in pictures.items()}
    write_cam_store(folder / "cams.h5", CREATURE_CLASSES, {}, (_cams(image_id, moved[image_id]) for image_id in train))
    made = {"cams": [str(folder / "cams.h5")]}
    for stage in ("refined_seeds", "pseudo_labels", "predictions"):
        ids = [image_id for image_id in pictures if (image_id in train) == (stage != "predictions")]
        for image_id in ids:
            write_label_map(folder / stage / f"{image_id}.png", np.roll(moved[image_id], len(stage) % 5, axis=1))
        manifest = folder / stage / "000-of-001.csv"
        write_label_manifest({image_id: Path(f"{image_id}.png") for image_id in ids}, manifest)
        made[stage] = [str(manifest)]
    return made


def _cams(image_id: str, labels: np.ndarray) -> ImageCams:
    height, width = labels.shape
    classes = [k for k in range(len(CREATURE_CLASSES)) if (labels == k + 1).any()]
    padded = -height % CAM_STRIDE, -width % CAM_STRIDE
    cells = np.pad(labels, ((0, padded[0]), (0, padded[1])))
    cells = cells.reshape(cells.shape[0] // CAM_STRIDE, CAM_STRIDE, -1, CAM_STRIDE)  # (h, stride, w, stride)
    maps = [(cells == k + 1).mean(axis=(1, 3)) for k in classes]
    cam = np.array(maps, np.float32).reshape(len(classes), *cells.shape[::2])
    return ImageCams(image_id, np.array(classes, np.int16), cam, None, height, width)


def _invented_climbs(folder: Path, pictures: dict[str, np.ndarray], train: Sequence[str]) -> str:
    """Climbs in which the mask's class map shifts a little with every step, and the image is noise."""
    climbs = []
    for image_id in train[:CLIMBS]:
        cams = _cams(image_id, pictures[image_id])
        maps = np.stack([np.roll(cams.cam, step // 4, axis=2) for step in range(STEPS)], axis=1)
        images = np.random.default_rng(0).integers(0, 256, (len(maps), STEPS, 96, 96, 3), dtype=np.uint8)
        scores = np.tile(np.arange(STEPS, dtype=np.float32), (len(maps), 1))
        climbs.append(ImageClimb(image_id, cams.classes, maps, scores, images, cams.height, cams.width))
    write_climbs(folder / "climb.h5", CREATURE_CLASSES, {}, climbs)
    return str(folder / "climb.h5")


def opening_seconds(page: Path, scratch: Path) -> float:
    """Seconds until a fresh Chromium has loaded and laid out a page."""
    text = page.read_text(encoding="utf-8")
    timed = scratch / "timed.html"
    timed.write_text(text.replace("</body>", TIMED + "</body>"), encoding="utf-8")
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={scratch}/profile", "--window-size=1280,900", "--dump-dom", timed.as_uri()]
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=300).stdout
    found = re.search(r"TOOK([\d.]+)MS", shown.partition("<body")[2])
    if found is None:
        raise RuntimeError(f"{page}: Chromium did not load it")
    return float(found[1]) / 1000


def chromium() -> str:
    """The path of Chromium, or an empty string."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), "")


def measure(images: int, size: int, experiments: int, shown: int, repeats: int) -> Figures:
    """Simulate a run, make its report and open the largest file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = invented_run(folder, images, size, experiments, shown)
        _, made = seconds(lambda: make_report(run, folder / "report.html"))
        files = [folder / "report.html", *folder.glob("gallery-*.html")]
        largest = max(files, key=lambda file: file.stat().st_size)
        opened = [opening_seconds(largest, folder) for _ in range(repeats)] if chromium() else []
        sizes = [file.stat().st_size for file in files]
        return Figures(len(files), max(sizes), sum(sizes), made, opened)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--size", type=int, default=256, help="height and width of an image, pixels")
    parser.add_argument("--experiments", type=int, default=6)
    parser.add_argument("--shown", type=int, default=80, help="images of a split in the gallery, as report.images")
    parser.add_argument("--repeats", type=int, default=5, help="how often to open the page")
    options = parser.parse_args(arguments)
    print(heading(1))
    print(json.dumps(vars(options)))
    figures = measure(**vars(options))
    largest, together = figures.largest / MEBIBYTE, figures.all / MEBIBYTE
    print(f"{figures.pages} files, the largest {largest:.1f} MiB, all {together:.1f} MiB, made in {figures.made:.1f} s")
    if figures.opened:
        times = ", ".join(f"{duration:.2f}" for duration in figures.opened)
        print(f"the largest opens in {statistics.median(figures.opened):.2f} s, the median of {times}")
    else:
        print("there is no Chromium on this machine to open it with")


if __name__ == "__main__":
    main()
