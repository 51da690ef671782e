"""Data sets in the layout of the PASCAL VOC devkit.

``ImageSets/Segmentation/<list>.txt`` lists image ids, ``JPEGImages/<id>.jpg`` are the images,
``Annotations/<id>.xml`` name the objects in them, and ``SegmentationClass/<id>.png``, where
there are any, are the masks.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from wsss_core.config.dataset import VocDataset
from wsss_core.datasets.class_names import unknown_class_faults
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.index import SPLITS, TEST, DatasetIndex
from wsss_core.datasets.raw_dataset import ListedImage, Listing, MaskSource, RawDataset
from wsss_core.datasets.voc_layout import (
    ANNOTATIONS,
    IMAGES,
    LISTS,
    MASKS,
    annotation_file,
    image_file,
    layout_faults,
    list_file,
    mask_file,
    read_lists,
)
from wsss_core.progress import progress


class VocFolder(RawDataset):
    """A folder as the PASCAL VOC devkit unpacks."""

    settings: VocDataset

    def inputs(self, splits: Sequence[str] = SPLITS) -> list[Path]:
        """Folders of images and annotations; the lists too, as a folder's time does not tell that one was edited."""
        folders = [self.root / IMAGES, self.root / Path(LISTS).parts[0]]
        if tuple(splits) != (*SPLITS, TEST):  # of test images nobody knows the objects
            folders.insert(1, self.root / ANNOTATIONS)
        if self.settings.generated:
            return folders
        return [*folders, *(list_file(self.root, self.settings.splits, split) for split in splits)]

    def mask_inputs(self) -> list[Path]:
        """The folder of masks."""
        return [self.root / MASKS]

    def list_images(self, splits: Sequence[str] = SPLITS) -> Listing:
        """Read the lists and the annotations."""
        listing = Listing(self.settings.classes, faults=layout_faults(self.root, self.settings.splits, splits))
        ids = read_lists(self.root, self.settings.splits, listing.faults, splits)
        has_annotations = (self.root / ANNOTATIONS).is_dir()
        unknown: list[tuple[str, str, str]] = []
        for image_id, split in progress(ids.items(), "Reading annotations", len(ids)):
            image, annotation = image_file(self.root, image_id), annotation_file(self.root, image_id)
            names: set[str] = set()
            size = None
            if split != TEST and has_annotations:
                names, size = _read_annotation(annotation, image_id, listing.faults)
            unknown += [(name, image_id, str(annotation)) for name in sorted(names.difference(listing.classes))]
            labels = frozenset(names.intersection(listing.classes))
            if (self.root / IMAGES).is_dir():
                listing.images.append(ListedImage(image_id, split, image, labels, str(annotation), size))
        listing.faults += unknown_class_faults(unknown, listing.classes)
        return listing

    def masks(self, index: DatasetIndex) -> Iterator[tuple[str, MaskSource]]:
        """The files in the folder of masks."""
        for image_id in index.image_ids:
            path = mask_file(self.root, image_id)
            if os.path.isfile(path):
                yield image_id, path


def _read_annotation(path: Path, image_id: str, faults: list[Fault]) -> tuple[set[str], Size | None]:
    """The names of the objects (difficult ones too) and the size of the image, if given."""
    if not os.path.isfile(path):
        detail = f"add the annotation or take {image_id!r} off its list"
        faults.append(Fault(FaultKind.MISSING_ANNOTATION, str(path), detail, image_id))
        return set(), None
    try:
        annotation = ElementTree.parse(path).getroot()
    # ParseError is a SyntaxError; an unknown encoding is a LookupError or ValueError.
    except (SyntaxError, LookupError, ValueError, OSError) as error:
        detail = f"is no well-formed XML ({error}); copy or download it again"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail, image_id))
        return set(), None
    # Children only: the parts of an object (a person's head) have names as well.
    names = {(entry.findtext("name") or "").strip() for entry in annotation.findall("object")}
    if "" in names:
        detail = "has an <object> without a <name>; expected the name of its class"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail, image_id))
    size = annotation.findtext("size/height"), annotation.findtext("size/width")
    try:
        annotated = int(size[0] or ""), int(size[1] or "")
    except ValueError:
        annotated = None  # the size is optional: the image itself tells it
    return names - {""}, annotated
