"""Data sets in the layout of the PASCAL VOC devkit.

``ImageSets/Segmentation/<list>.txt`` lists image ids, ``JPEGImages/<id>.jpg`` are the images,
``Annotations/<id>.xml`` name the objects in them, and ``SegmentationClass/<id>.png``, if any, are the masks. SBD
(``sbd.py``) may add masks and training images.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from wsss_core.config.dataset import VocDataset
from wsss_core.datasets.class_names import unknown_class_faults
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.index import SPLITS, TEST, DatasetIndex
from wsss_core.datasets.raw_dataset import ListedImage, Listing, MaskSource, RawDataset
from wsss_core.datasets.voc.sbd import Sbd
from wsss_core.datasets.voc.voc_layout import (
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
from wsss_core.datasets.voc.voc_train_aug import (
    OF_VOC,
    TRAIN_AUG,
    compute_train_aug,
    is_computed,
    listed_train_aug_warnings,
    own_list,
)
from wsss_core.files.file_kinds import stand_in
from wsss_core.jobs.progress import progress


class VocFolder(RawDataset):
    """An unpacked PASCAL VOC devkit, together with SBD if the settings have it."""

    settings: VocDataset

    def __init__(self, root: Path, settings: VocDataset) -> None:
        """See ``RawDataset``."""
        super().__init__(root, settings)
        self.sbd = None if settings.sbd is None else Sbd(settings.sbd)

    def inputs(self, splits: Sequence[str] = SPLITS) -> list[Path]:
        """Folders of images and annotations, and the lists (a folder's time does not change when a list is edited).

        A folder of SBD's PNG masks is not among them, although ``train_aug`` depends on its file names: see
        ``names_digest``.
        """
        folders = [self.root / IMAGES, self.root / Path(LISTS).parts[0]]
        if tuple(splits) != (*SPLITS, TEST):  # test images have no annotations
            folders.insert(1, self.root / ANNOTATIONS)
        if self.settings.generated:
            return folders
        return [*folders, *self._list_files(splits), *(self.sbd.list_files() if self.sbd and self._computed else [])]

    def scored_list(self) -> Path | None:
        """The list of the training images to score."""
        scored = self.settings.scored_list
        return None if scored is None else self.root / LISTS / f"{scored}.txt"

    def names_digest(self) -> str:
        """A digest of the names in a folder of SBD's PNG masks, if ``train_aug`` depends on them."""
        if self.sbd is None or self.sbd.own_folder is not None or not self._computed:
            return ""
        (image_ids,) = self.sbd.image_ids([]).values()
        return hashlib.sha256("\n".join(image_ids).encode()).hexdigest()[:10]

    def mask_inputs(self) -> list[Path]:
        """The folders of masks."""
        return [self.root / MASKS, *([self.sbd.mask_folder] if self.sbd else [])]

    def list_images(self, splits: Sequence[str] = SPLITS) -> Listing:
        """Read the lists and the annotations."""
        root, lists = self.root, self.settings.splits
        listing = Listing(self.settings.classes, faults=layout_faults(root, self._list_files(splits)))
        computed = {}
        if self.sbd is not None:
            listing.faults += self.sbd.layout_faults(with_lists=self._computed)
            if self._computed:
                computed["train"], listing.warnings = compute_train_aug(root, self.settings, self.sbd, listing.faults)
        ids = read_lists(root, lists, listing.faults, splits, computed)
        if not computed:
            train_images = sum(split == "train" for split in ids.values())
            listing.warnings += listed_train_aug_warnings(root, self.settings, train_images)
        self._describe(ids, listing)
        return listing

    def masks(self, index: DatasetIndex) -> Iterator[tuple[str, MaskSource]]:
        """VOC's own masks, and SBD's for images without one."""
        for image_id in index.image_ids:
            path = mask_file(self.root, image_id)
            if os.path.isfile(path):
                yield image_id, path
            elif self.sbd is not None and (source := self.sbd.mask(image_id)) is not None:
                yield image_id, source

    def expected_mask(self, image_id: str) -> Path:
        """SBD's mask, if only that exists; else VOC's."""
        path = mask_file(self.root, image_id)
        if self.sbd is not None and not os.path.isfile(path) and os.path.isfile(self.sbd.mask_file(image_id)):
            return self.sbd.mask_file(image_id)
        return path

    @property
    def _computed(self) -> bool:
        """Whether the list of training images is computed."""
        return is_computed(self.root, self.settings)

    def _list_files(self, splits: Sequence[str]) -> dict[Path, str]:
        """The required lists, each with a description."""
        lists, computed = self.settings.splits, self._computed
        files = {}
        for split in splits:
            what = f"the list of the {split} images"
            if split == "train" and lists.train == TRAIN_AUG and self.settings.sbd is None:
                what += " (or 'dataset.sbd', the folder of SBD, from which it can be computed)"
            if split != "train" or not computed:
                files[list_file(self.root, lists, split)] = what
        if computed:
            for name in OF_VOC:
                files.setdefault(own_list(self.root, name), f"VOC's list {name}, from which train_aug is computed")
        return files

    def _describe(self, ids: Mapping[str, str], listing: Listing) -> None:
        """Add the images of the lists, with the content of their annotations."""
        has_images, has_annotations = (self.root / IMAGES).is_dir(), (self.root / ANNOTATIONS).is_dir()
        unknown: list[tuple[str, str, str]] = []
        for image_id, split in progress(ids.items(), "Reading annotations", len(ids)):
            image, annotation = image_file(self.root, image_id), annotation_file(self.root, image_id)
            names: set[str] = set()
            size = None
            if split != TEST and has_annotations:
                names, size = _read_annotation(annotation, image_id, self.settings.difficult, listing.faults)
            unknown += [(name, image_id, str(annotation)) for name in sorted(names.difference(listing.classes))]
            labels = frozenset(names.intersection(listing.classes))
            if has_images:
                listing.images.append(ListedImage(image_id, split, image, labels, str(annotation), size))
        listing.faults += unknown_class_faults(unknown, listing.classes)


def _read_annotation(path: Path, image_id: str, difficult: bool, faults: list[Fault]) -> tuple[set[str], Size | None]:
    """The names of the objects (including difficult ones, if asked for) and the size of the image, if given."""
    if not os.path.isfile(path):
        detail = f"add the annotation or remove {image_id!r} from its list"
        faults.append(Fault(FaultKind.MISSING_ANNOTATION, str(path), detail, image_id))
        return set(), None
    try:
        annotation = ElementTree.parse(path).getroot()
    # ParseError is a SyntaxError; an unknown encoding is a LookupError or ValueError.
    except (SyntaxError, LookupError, ValueError, OSError) as error:
        detail = stand_in(path) or f"is not well-formed XML ({error}); copy or download it again"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail, image_id))
        return set(), None
    if annotation.tag != "annotation":
        detail = f"has the root <{annotation.tag}>; expected an <annotation>, as in VOC; copy or download it again"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail, image_id))
        return set(), None
    objects = annotation.findall("object")
    if not difficult:
        objects = [
            entry for entry in objects if (entry.findtext("difficult") or "").strip().casefold() not in ("1", "true")
        ]
    # Children only: the parts of an object (a person's head) have names as well.
    names = {(entry.findtext("name") or "").strip() for entry in objects}
    if "" in names:
        detail = "has an <object> without a <name>; expected the name of its class"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail, image_id))
    size = annotation.findtext("size/height"), annotation.findtext("size/width")
    try:
        annotated = int(size[0] or ""), int(size[1] or "")
    except ValueError:
        annotated = None  # the size is optional: the image itself has it
    return names - {""}, annotated
