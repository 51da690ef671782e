"""Builds small data sets in the VOC layout for tests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from wsss_core.config.dataset import Dataset, VocDataset
from wsss_core.datasets.faults import DatasetFaults, FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import DatasetIndex, read_index
from wsss_core.datasets.index_dataset import index_dataset
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest

Size = tuple[int, int]
"""Height and width, pixels."""


class VocTree:
    """A VOC folder that grows by ``add`` and is complete after ``write_lists``."""

    def __init__(self, root: Path, classes: Sequence[str] = ("cat", "dog", "bird")) -> None:
        """Make the folders; SegmentationClass comes with the first mask."""
        self.root = root
        self.classes = tuple(classes)
        self.lists: dict[str, list[str]] = {"train": [], "val": []}
        for folder in ("JPEGImages", "Annotations", "ImageSets/Segmentation"):
            (root / folder).mkdir(parents=True)

    @property
    def dataset(self) -> VocDataset:
        """The block of the configuration that reads this data set."""
        return VocDataset(name="tree", root=self.root, classes=self.classes)

    def add(
        self,
        image_id: str,
        classes: Sequence[str],
        split: str,
        size: Size = (6, 8),
        mask: np.ndarray | bool | None = None,
    ) -> "VocTree":
        """Add an image (noise), its annotation and its mask, and list it.

        Args:
            image_id: name of the files.
            classes: names of the objects, one entry an object.
            split: train or val.
            size: height and width of the image.
            mask: uint8 (H, W) class numbers, or True for one row of each class.

        Returns:
            This tree, for chaining.
        """
        noise = np.random.default_rng(len(image_id)).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(self.image(image_id), quality=90)
        self.annotate(image_id, classes, size)
        if mask is True:
            mask = np.zeros(size, dtype=np.uint8)
            for row, name in enumerate(classes):
                mask[row % size[0]] = self.classes.index(name) + 1
        if isinstance(mask, np.ndarray):
            self.write_mask(image_id, mask)
        self.lists[split].append(image_id)
        return self

    def annotate(self, image_id: str, classes: Sequence[str], size: Size = (6, 8)) -> None:
        """Write an annotation; every second object is marked as difficult."""
        annotation = ElementTree.Element("annotation")
        element = ElementTree.SubElement(annotation, "size")
        ElementTree.SubElement(element, "width").text = str(size[1])
        ElementTree.SubElement(element, "height").text = str(size[0])
        for number, name in enumerate(classes):
            entry = ElementTree.SubElement(annotation, "object")
            ElementTree.SubElement(entry, "name").text = name
            ElementTree.SubElement(entry, "difficult").text = str(number % 2)
            part = ElementTree.SubElement(entry, "part")
            ElementTree.SubElement(part, "name").text = "head"
        ElementTree.ElementTree(annotation).write(self.annotation(image_id), encoding="utf-8")

    def write_mask(self, image_id: str, mask: np.ndarray) -> None:
        """Write a mask, uint8 (H, W), as palette PNG."""
        self.mask(image_id).parent.mkdir(exist_ok=True)
        image = Image.fromarray(mask)
        image.putpalette(bytes(range(256)) * 3)
        image.save(self.mask(image_id))

    def write_lists(self) -> "VocTree":
        """Write train.txt and val.txt with the ids as they are in ``lists``."""
        for split, image_ids in self.lists.items():
            text = "".join(f"{image_id}\n" for image_id in image_ids)
            self.list(split).write_text(text, encoding="utf-8")
        return self

    def image(self, image_id: str) -> Path:
        """The image file of an id."""
        return self.root / "JPEGImages" / f"{image_id}.jpg"

    def annotation(self, image_id: str) -> Path:
        """The annotation file of an id."""
        return self.root / "Annotations" / f"{image_id}.xml"

    def mask(self, image_id: str) -> Path:
        """The mask file of an id."""
        return self.root / "SegmentationClass" / f"{image_id}.png"

    def list(self, split: str) -> Path:
        """The list file of a split."""
        return self.root / "ImageSets/Segmentation" / f"{split}.txt"


def small_tree(root: Path) -> VocTree:
    """Three training and two validation images; all but 0002 have a mask."""
    tree = VocTree(root)
    tree.add("0001", ["dog", "cat", "dog"], "train", mask=True)
    tree.add("0002", ["bird"], "train", size=(3, 9))
    tree.add("nan", ["cat"], "train", mask=True)
    tree.add("0004", ["cat", "bird"], "val", mask=True)
    tree.add("0005", ["dog"], "val", size=(11, 4), mask=True)
    return tree.write_lists()


def plant_faults(tree: VocTree) -> dict[FaultKind, tuple[Path, str]]:
    """Plant every kind of fault of an image or a mask in a small tree, each once.

    Returns:
        By kind, the file that is to be named and words that are to be said of it.
    """
    for image_id in "abcdefg":
        tree.add(image_id, ["cat"], "train")
    tree.image("a").unlink()
    cut_short(tree.image("b"))
    tree.annotation("c").unlink()
    tree.annotation("d").write_text("<annotation>")
    tree.annotate("e", ["dgo", "cat"])
    tree.annotate("f", [])  # no fault: it is left out, with a warning
    tree.write_mask("0001", np.zeros((2, 2), dtype=np.uint8))
    tree.write_mask("0002", np.full((3, 9), 77, dtype=np.uint8))
    Image.new("RGB", (8, 6)).save(tree.mask("nan"))
    tree.mask("0005").unlink()
    tree.add("h", ["cat"], "val", mask=True)
    tree.lists["train"] += ["g", "0004", "sub/i"]
    tree.write_lists()
    return {
        FaultKind.IMAGE_ID: (tree.list("train"), "'sub/i'"),
        FaultKind.REPEATED_ID: (tree.list("train"), "'g' is in lines 10, 11"),
        FaultKind.SHARED_ID: (tree.list("val"), "'0004' is also in train.txt"),
        FaultKind.MISSING_IMAGE: (tree.image("a"), "add the image"),
        FaultKind.BROKEN_IMAGE: (tree.image("b"), "truncated"),
        FaultKind.MISSING_ANNOTATION: (tree.annotation("c"), "add the annotation"),
        FaultKind.BROKEN_ANNOTATION: (tree.annotation("d"), "not well-formed XML"),
        FaultKind.UNKNOWN_CLASS: (tree.annotation("e"), "did you mean 'dog'?"),
        FaultKind.MISSING_MASK: (tree.mask("0005"), "other validation images have a mask"),
        FaultKind.MASK_SIZE: (tree.mask("0001"), "is 2 high and 2 wide"),
        FaultKind.MASK_VALUES: (tree.mask("0002"), "has the values 77"),
        FaultKind.BROKEN_MASK: (tree.mask("nan"), "pixels of kind RGB"),
    }


def index_into(made: Path, root: Path, dataset: Dataset) -> None:
    """Index a data set into the folder ``made``."""
    report, counts, skipped = (made / name for name in ("report.html", "report.csv", "skipped.csv"))
    index_dataset(raw_dataset(root, dataset), made / "index.csv", made / "classes.json", report, counts, skipped)


def indexed(tree: VocTree, dataset: Dataset | None = None) -> DatasetIndex:
    """Index a tree into the folder ``made`` beside it."""
    made = tree.root.parent / "made"
    index_into(made, tree.root, dataset or tree.dataset)
    return read_index(made / "index.csv", made / "classes.json")


def masked(tree: VocTree, dataset: Dataset | None = None) -> dict[str, Path]:
    """Index a tree and its masks into the folder ``made`` beside it."""
    path = tree.root.parent / "made" / "masks.csv"
    raw = raw_dataset(tree.root, dataset or tree.dataset)
    index_masks(raw, indexed(tree, dataset), path, path.with_name("skipped_masks.csv"))
    return read_label_manifest([path])


def cut_short(path: Path) -> None:
    """Take the last quarter off a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])


def faults_of(action: Callable[[], object]) -> DatasetFaults:
    """The faults that ``action`` raises."""
    with pytest.raises(DatasetFaults) as caught:
        action()
    return caught.value
