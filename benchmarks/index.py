"""Measures time and memory of indexing a large data set, without decoding the images.

``python -m benchmarks.index`` writes lists and annotations for many images, in each layout, and indexes them as in the
workflow. There are no images: the check that decodes every image is replaced by a function that gives the same size for
all. The numbers of objects and the lengths of polygons are MS-COCO's averages.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.measuring import MEBIBYTE, heading, peak_memory, seconds
from wsss_core.config.class_names import COCO_CLASSES, VOC_CLASSES
from wsss_core.config.dataset import CocoDataset, Dataset, VocDataset
from wsss_core.datasets import index_dataset as stage
from wsss_core.datasets.faults import Fault
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.raw_dataset import ListedImage

SIZE = (480, 640)
UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
OBJECTS = (6, 9)
"""Range of the number of objects in an image; MS-COCO has 7.3 on average."""
POINTS = (8, 70)
"""Range of the number of points in a polygon; records then have as many bytes as in instances_train2014.json."""
VAL_SHARE = 3
"""Every third image is for validation."""


def make_coco(root: Path, images: int) -> CocoDataset:
    """Write the files of a data set in MS-COCO's layout; returns its settings."""
    generator = np.random.default_rng(0)
    ids = [number for number in range(1, 91) if number not in UNUSED_IDS]
    categories = [{"supercategory": "thing", "id": i, "name": name} for i, name in zip(ids, COCO_CLASSES, strict=True)]
    outlines = [
        json.dumps([(generator.random(2 * generator.integers(*POINTS)) * SIZE[0]).round(2).tolist()])
        for _ in range(500)
    ]
    (root / "annotations").mkdir(parents=True)
    for split, numbers in _splits(images).items():
        folder = f"{split}2014"
        (root / folder).mkdir()
        with open(root / "annotations" / f"instances_{folder}.json", "w") as file:
            file.write('{"info": {"year": 2014}, "images": [')
            for at, i in enumerate(numbers):
                (root / folder / f"COCO_{folder}_{i:012d}.jpg").touch()
                entry = {"license": 5, "file_name": f"COCO_{folder}_{i:012d}.jpg", "height": SIZE[0], "width": SIZE[1]}
                entry |= {"coco_url": f"coco/{folder}/{i:012d}.jpg", "date_captured": "2013-11-14 16:28:13", "id": i}
                file.write(", " * (at > 0) + json.dumps(entry))
            file.write('], "licenses": [], "annotations": [')
            number = 0
            for i in numbers:
                for category in generator.choice(ids, generator.integers(*OBJECTS)).tolist():
                    entry = {"area": 702.1, "iscrowd": 0, "image_id": i, "bbox": [1.5, 2.5, 33.25, 44.5]}
                    entry |= {"category_id": category, "id": number}
                    outline = outlines[number % len(outlines)]
                    file.write(", " * (number > 0) + f'{{"segmentation": {outline}, {json.dumps(entry)[1:]}')
                    number += 1
            file.write(f'], "categories": {json.dumps(categories)}}}')
    return CocoDataset(name="large", format="coco", root=root)


def make_voc(root: Path, images: int) -> VocDataset:
    """Write the files of a data set in the VOC devkit's layout; returns its settings."""
    generator = np.random.default_rng(0)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    size = f"<size><width>{SIZE[1]}</width><height>{SIZE[0]}</height><depth>3</depth></size>"
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>33</xmax><ymax>44</ymax></bndbox><difficult>0</difficult>"
    for split, numbers in _splits(images).items():
        names = [f"2012_{i:06d}" for i in numbers]
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            objects = generator.choice(VOC_CLASSES, generator.integers(1, 5)).tolist()
            shown = "".join(f"<object><name>{one}</name>{box}</object>" for one in objects)
            (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{shown}</annotation>")
    return VocDataset(name="large", root=root)


LAYOUTS: dict[str, Callable[[Path, int], Dataset]] = {"coco": make_coco, "voc": make_voc}
"""Functions that write a data set in each layout."""


def index(root: Path, dataset: Dataset, made: Path) -> None:
    """Index a data set without decoding an image."""
    index_csv, classes_json = made / "index.csv", made / "classes.json"
    report, counts, skipped = made / "report.html", made / "report.csv", made / "skipped.csv"
    with mock.patch.object(stage, "check_images", _same_size):
        stage.index_dataset(raw_dataset(root, dataset), index_csv, classes_json, report, counts, skipped)


def measure(layout: str, images: int) -> tuple[float, int | None, int]:
    """Time (seconds) and peak memory (bytes) of indexing in a fresh process, and the bytes of its input."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        dataset = LAYOUTS[layout](root, images)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        made = Path(folder) / "made"
        (Path(folder) / "settings.json").write_text(dataset.model_dump_json())
        command = [sys.executable, "-m", "benchmarks.index", "--index", folder]
        output = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout
        assert len((made / "index.csv").read_text().splitlines()) == images + 1
    duration, memory = output.split()[-2:]
    return float(duration), int(memory) if memory.isdecimal() else None, size


def _index_here(folder: Path) -> None:
    """Index the data set in a folder, and print time and memory."""
    from wsss_core.config.dataset import dataset_settings

    dataset = dataset_settings(json.loads((folder / "settings.json").read_text()))
    start = time.perf_counter()
    memory = peak_memory(lambda: index(folder / "data", dataset, folder / "made"))
    print(time.perf_counter() - start, memory)


def _splits(images: int) -> dict[str, range]:
    val = images // VAL_SHARE
    return {"train": range(val, images), "val": range(val)}


def _same_size(
    images: Sequence[ListedImage], threads: int = 1, shrinking: None = None
) -> tuple[dict[str, Size], list[Fault], list[Fault]]:
    return dict.fromkeys([image.image_id for image in images], SIZE), [], []


def main(arguments: Sequence[str] | None = None) -> None:
    """Index and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)  # in the measured process
    options = parser.parse_args(arguments)
    if options.index is not None:
        _index_here(options.index)
        return
    print(heading(1))
    for layout in options.layouts:
        (duration, memory, size), whole = seconds(lambda layout=layout: measure(layout, options.images))  # type: ignore[misc]
        used = "unknown" if memory is None else f"{memory / MEBIBYTE:.0f} MiB"
        read = f"{size / MEBIBYTE:.0f} MiB of lists and annotations"
        print(f"{layout}: {options.images} images, {read}: {duration:.1f} s, memory {used} (made in {whole:.0f} s)")


if __name__ == "__main__":
    main()
