"""Builds small data sets in MS-COCO's layout for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from tests.datasets.voc_tree import index_into
from wsss_core.config.class_names import COCO_CLASSES
from wsss_core.config.dataset import CocoDataset
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex, read_index
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest

Size = tuple[int, int]
"""Height and width, pixels."""
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""The ids between 1 and 90 that no category of MS-COCO has."""
COCO_IDS = tuple(i for i in range(1, 91) if i not in UNUSED)


def square(left: float, top: float, side: float) -> list[list[float]]:
    """A polygon."""
    right, bottom = left + side, top + side
    return [[left, top, right, top, right, bottom, left, bottom]]


def encoded(region: np.ndarray, compressed: bool = True) -> dict[str, Any]:
    """A region, bool (H, W), as pycocotools encodes it."""
    lengths = coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))
    if compressed:
        return {"size": lengths["size"], "counts": lengths["counts"].decode("ascii")}
    flat = region.astype(np.uint8).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": lengths["size"], "counts": [0, *counts] if flat[0] else counts}


class CocoTree:
    """A folder that grows by ``add`` and is complete after ``write``."""

    def __init__(self, root: Path, classes: Sequence[str] = COCO_CLASSES, ids: Sequence[int] = COCO_IDS) -> None:
        """Make the folders."""
        self.root = root
        self.classes = tuple(classes)
        self.ids = dict(zip(classes, ids, strict=False))
        self.files: dict[str, dict[str, Any]] = {}
        for split in ("train2014", "val2014"):
            (root / split).mkdir(parents=True)
            categories = [{"id": i, "name": name, "supercategory": "thing"} for name, i in self.ids.items()]
            self.files[split] = {"info": {"year": 2014}, "images": [], "annotations": [], "categories": categories}
        (root / "annotations").mkdir()

    @property
    def dataset(self) -> CocoDataset:
        """The block of the configuration that reads this data set."""
        return CocoDataset(name="tree", format="coco", root=self.root, classes=self.classes)

    def add(
        self, number: int, split: str, objects: Sequence[tuple[str, Any]] = (), size: Size = (40, 50), **extra: Any
    ) -> str:
        """Add an image (noise) and its objects, each a class and a segmentation; the image's id."""
        name = f"COCO_{split}_{number:012d}.jpg"
        noise = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(self.root / split / name)
        height, width = size
        self.files[split]["images"].append({"id": number, "file_name": name, "height": height, "width": width})
        for class_name, segmentation in objects:
            self.annotate(number, split, class_name, segmentation, **extra)
        return name.removesuffix(".jpg")

    def annotate(self, number: int, split: str, class_name: str, segmentation: Any, **extra: Any) -> dict[str, Any]:
        """Add an object to an image; the annotation."""
        annotation = {
            "id": len(self.files[split]["annotations"]) + 1,
            "image_id": number,
            "category_id": self.ids[class_name],
            "segmentation": segmentation,
            "iscrowd": 0,
            **extra,
        }
        self.files[split]["annotations"].append(annotation)
        return annotation

    def path(self, split: str) -> Path:
        """The file that describes a split."""
        return self.root / "annotations" / f"instances_{split}.json"

    def image(self, image_id: str) -> Path:
        """The image file of an id."""
        return self.root / image_id.split("_")[1] / f"{image_id}.jpg"

    def write(self) -> "CocoTree":
        """Write the files that describe the splits."""
        for split, content in self.files.items():
            self.path(split).write_text(json.dumps(content))
        return self


def small_coco(root: Path) -> CocoTree:
    """Three training images with objects, one without, and two validation images, one without objects."""
    tree = CocoTree(root)
    tree.add(9, "train2014", [("person", square(2, 3, 10)), ("dog", square(20, 5, 12)), ("person", square(2, 20, 9))])
    tree.add(25, "train2014", [("toothbrush", square(1, 1, 8))], (34, 36))
    tree.add(30, "train2014", [("cat", square(4, 4, 20)), ("person", square(8, 8, 4))])
    tree.add(31, "train2014")
    tree.add(42, "val2014", [("dog", square(0, 0, 15))])
    tree.add(73, "val2014")
    return tree


def indexed(tree: CocoTree, dataset: CocoDataset | None = None) -> DatasetIndex:
    """Index a tree into the folder ``made`` beside it."""
    made = tree.root.parent / "made"
    index_into(made, tree.root, dataset or tree.dataset)
    return read_index(made / "index.csv", made / "classes.json")


def masked(tree: CocoTree, dataset: CocoDataset | None = None) -> dict[str, np.ndarray]:
    """Index a tree and its masks into the folder ``made`` beside it; the masks by image id."""
    path = tree.root.parent / "made" / "masks.csv"
    raw = raw_dataset(tree.root, dataset or tree.dataset)
    index_masks(raw, indexed(tree, dataset), path, path.with_name("skipped_masks.csv"))
    return {image_id: read_mask(file) for image_id, file in read_label_manifest([path]).items()}
