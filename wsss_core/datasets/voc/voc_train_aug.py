"""The list ``train_aug`` of VOC 2012: the 10,582 images of SBD and VOC's own list that are not of VOC's validation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.dataset import VocDataset
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.voc.sbd import Sbd
from wsss_core.datasets.voc.voc_layout import LISTS, list_file, read_ids

TRAIN_AUG = "train_aug"
IMAGES = 10_582
"""Images of the list, where SBD and VOC 2012 are complete."""
OF_VOC = {"train": 1_464, "val": 1_449}
"""Images of VOC 2012's own lists."""
OF_SBD = {"train": 8_498, "val": 2_857}
"""Images of SBD's own lists."""


def own_list(root: Path, name: str) -> Path:
    """One of VOC's own lists, which ``train_aug`` is computed from."""
    return root / LISTS / f"{name}.txt"


def is_computed(root: Path, settings: VocDataset) -> bool:
    """Whether the training images are those of ``train_aug`` and no file lists them."""
    wanted = settings.splits.train == TRAIN_AUG and settings.sbd is not None
    return wanted and not list_file(root, settings.splits, "train").is_file()


def compute_train_aug(root: Path, settings: VocDataset, sbd: Sbd, faults: list[Fault]) -> tuple[list[str], list[Fault]]:
    """(SBD's train and val and VOC's train) without VOC's val.

    Args:
        root: folder of VOC.
        settings: its settings; images of the list ``splits.val`` are left out too, if it is another than ``val``.
        sbd: where SBD lies.
        faults: what is wrong with the lists is appended here, except that one is missing.

    Returns:
        The sorted ids; and a warning that says what came from where, if VOC's classes are asked for
        and there are not as many images as VOC 2012 and SBD have.
    """
    judged_on = list_file(root, settings.splits, "val")  # its faults are told where it is read as a split
    of_sbd = sbd.image_ids(faults)
    of_voc = {}
    for name in OF_VOC:
        path = own_list(root, name)
        of_voc[name] = list(read_ids(path, [] if path == judged_on else faults))
    validation = {*of_voc["val"], *read_ids(judged_on, [])}
    image_ids = sorted({*of_voc["train"], *(image_id for ids in of_sbd.values() for image_id in ids)} - validation)
    if settings.classes != VOC_CLASSES or len(image_ids) == IMAGES:
        return image_ids, []
    detail = (
        f"computed from 'dataset.sbd' it has {len(image_ids):,} images, and {IMAGES:,} with VOC 2012 and SBD in full"
    )
    counts = "; ".join(_counts(root, sbd, of_voc, of_sbd))
    path = list_file(root, settings.splits, "train")
    return image_ids, [Fault(FaultKind.LIST_LENGTH, str(path), f"{detail}: {counts}")]


def listed_train_aug_warnings(root: Path, settings: VocDataset, listed: int) -> list[Fault]:
    """A warning if a file lists another number of images as ``train_aug`` than is usual for VOC's classes."""
    path = list_file(root, settings.splits, "train")
    usual = settings.splits.train != TRAIN_AUG or settings.classes != VOC_CLASSES or listed == IMAGES
    if usual or not path.is_file():
        return []
    return [
        Fault(FaultKind.LIST_LENGTH, str(path), f"has {listed:,} images; VOC 2012's list of this name has {IMAGES:,}")
    ]


def _counts(
    root: Path, sbd: Sbd, of_voc: Mapping[str, Sequence[str]], of_sbd: Mapping[str, Sequence[str]]
) -> list[str]:
    """How many images each source has, and how many it would have in full."""
    counts = [_count(str(own_list(root, name)), len(ids), OF_VOC[name]) for name, ids in of_voc.items()]
    if sbd.own_folder is not None:
        return counts + [_count(source, len(ids), OF_SBD[Path(source).stem]) for source, ids in of_sbd.items()]
    for source, ids in of_sbd.items():  # folders of PNG masks may or may not have those of VOC's own lists
        beyond = len(set(ids).difference(*of_voc.values()))
        counts.append(_count(f"{source}, beside images of VOC's lists,", beyond, IMAGES - OF_VOC["train"]))
    return counts


def _count(source: str, number: int, expected: int) -> str:
    if number == expected:
        return f"{source} has its {number:,}"
    difference = f"{abs(number - expected):,} {'are missing' if number < expected else 'too many'}"
    return f"{source} has {number:,} in place of {expected:,} ({difference})"
