"""JPEG files to train on, where only the time counts."""

from pathlib import Path

import pandas
from PIL import Image

from benchmarks.crf import make_scene
from wsss_core.datasets.index import COLUMNS, DatasetIndex

CLASSES = tuple(f"class{number}" for number in range(20))
FILES = 8
"""Number of JPEG files; all steps use them in turn."""


def write_jpegs(folder: Path, height: int, width: int) -> DatasetIndex:
    """Write JPEG files of smooth colours with noise, each with two classes, about 70 kB at 375x500."""
    rows = []
    for number in range(FILES):
        path = folder / f"{number}.jpg"
        Image.fromarray(make_scene(number, height, width, 3)[0]).save(path, quality=90)
        shown = ";".join(CLASSES[k] for k in (number, number + 5))
        rows.append((str(number), "train", str(path), height, width, shown))
    return DatasetIndex(CLASSES, pandas.DataFrame(rows, columns=list(COLUMNS)))
