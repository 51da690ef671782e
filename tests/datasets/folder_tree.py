"""Builds small folders of images with tables, as users have them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsss_core.config.dataset import FolderDataset
from wsss_core.datasets.faults import DatasetFaults
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import DatasetIndex, read_index
from wsss_core.datasets.index_dataset import index_dataset
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.raw_dataset import Listing


class FolderTree:
    """A folder with ``images``, to which tables and masks are added."""

    def __init__(self, root: Path, **settings: Any) -> None:
        """Make the folder of images; ``settings`` go to the configuration's block ``dataset``."""
        self.root, self.settings = root, settings
        (root / "images").mkdir(parents=True)

    @property
    def raw(self):
        """The data set as the workflow reads it."""
        settings = FolderDataset(name="tree", format="folder", root=self.root, **self.settings)
        return raw_dataset(self.root, settings)

    def image(self, name: str, size: tuple[int, int] = (6, 8)) -> Path:
        """Add an image of noise; its suffix tells the format."""
        noise = np.random.default_rng(len(name)).integers(0, 256, (*size, 3), dtype=np.uint8)
        path = self.root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(path)
        return path

    def images(self, names: Iterable[str]) -> "FolderTree":
        """Add several images."""
        for name in names:
            self.image(name)
        return self

    def mask(self, name: str, values: np.ndarray) -> Path:
        """Add a mask, of 8-bit grey, or of 16-bit grey where the values are uint16."""
        path = self.root / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
        return path

    def table(
        self,
        name: str,
        rows: Iterable[Sequence[str]],
        delimiter: str = ",",
        encoding: str = "utf-8",
    ) -> Path:
        """Write a table; the first row is its heading."""
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter).writerows(rows)
        path = self.root / name
        path.write_bytes(text.getvalue().encode(encoding))
        return path

    def labels(self, labels: Mapping[str, Sequence[str]], **options: str) -> "FolderTree":
        """Write ``labels.csv`` in the long form."""
        rows = [(name, label) for name, row in labels.items() for label in row or [""]]
        self.table("labels.csv", [("image", "label"), *rows], **options)
        return self

    def splits(self, splits: Mapping[str, str], **options: str) -> "FolderTree":
        """Write ``splits.csv``."""
        self.table("splits.csv", [("image", "split"), *splits.items()], **options)
        return self

    def listing(self, *splits: str) -> Listing:
        """What the tables say; no image is decoded."""
        return self.raw.list_images(splits or ("train", "val"))

    def index(self, folder: Path, threads: int = 1) -> DatasetIndex:
        """Index it as the workflow does, into ``folder``."""
        names = ("index.csv", "classes.json", "dataset_report.html", "dataset_report.csv", "skipped.csv")
        folder.mkdir(exist_ok=True)
        index_dataset(self.raw, *(folder / name for name in names), threads)
        return read_index(folder / "index.csv", folder / "classes.json")

    def masks_table(self, folder: Path) -> dict[str, Path]:
        """Check the masks as the workflow does; mask files by image id."""
        index = self.index(folder)
        index_masks(self.raw, index, folder / "masks.csv", folder / "masks_skipped.csv")
        return read_label_manifest([folder / "masks.csv"])

    def faults(self, folder: Path) -> DatasetFaults:
        """What indexing it says is wrong."""
        try:
            self.index(folder)
        except DatasetFaults as faults:
            return faults
        raise AssertionError("the data set was taken for right")


def labels_by_id(listing: Listing) -> dict[str, set[str]]:
    """The labels of a listing's images."""
    return {image.image_id: set(image.labels) for image in listing.images}


def splits_by_id(listing: Listing) -> dict[str, str]:
    """The splits of a listing's images."""
    return {image.image_id: image.split for image in listing.images}
