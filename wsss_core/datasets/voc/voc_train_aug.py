"""The list ``train_aug`` of VOC 2012: the 10,582 images of SBD and of VOC's training list, without VOC's val images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.dataset import VocDataset
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.voc.sbd import Sbd
from wsss_core.datasets.voc.voc_layout import LISTS, list_file, read_ids

TRAIN_AUG = "train_aug"
IMAGES = 10_582
"""Images of the list, if SBD and VOC 2012 are complete."""
OF_VOC = {"train": 1_464, "val": 1_449}
"""Images of VOC 2012's own lists."""
OF_SBD = {"train": 8_498, "val": 2_857}
"""Images of SBD's own lists."""


def own_list(root: Path, name: str) -> Path:
    """One of VOC's own lists, from which ``train_aug`` is computed."""
    return root / LISTS / f"{name}.txt"


def is_computed(root: Path, settings: VocDataset) -> bool:
    """Whether ``train_aug`` is wanted and no file lists its images."""
    wanted = settings.splits.train == TRAIN_AUG and settings.sbd is not None
    return wanted and not list_file(root, settings.splits, "train").is_file()


def compute_train_aug(root: Path, settings: VocDataset, sbd: Sbd, faults: list[Fault]) -> tuple[list[str], list[Fault]]:
    """(SBD's train and val and VOC's train) without VOC's val.

    Args:
        root: folder of VOC.
        settings: its settings; if ``splits.val`` is another list than ``val``, its images are left out too.
        sbd: SBD.
        faults: faults of the lists are appended here, except missing ones.

    Returns:
        The sorted ids; and a warning with the counts of each source, if VOC's classes are used and the number of
        images is not that of the complete VOC 2012 and SBD.
    """
    judged_on = list_file(root, settings.splits, "val")  # its faults are reported when it is read as a split
    of_sbd = sbd.image_ids(faults)
    of_voc = {}
    for name in OF_VOC:
        path = own_list(root, name)
        of_voc[name] = list(read_ids(path, [] if path == judged_on else faults))
    validation = {*of_voc["val"], *read_ids(judged_on, [])}
    image_ids = sorted({*of_voc["train"], *(image_id for ids in of_sbd.values() for image_id in ids)} - validation)
    if settings.classes != VOC_CLASSES or len(image_ids) == IMAGES:
        return image_ids, []
    detail = f"computed from 'dataset.sbd', it has {len(image_ids):,} images; complete VOC 2012 and SBD give {IMAGES:,}"
    counts = "; ".join(_counts(root, sbd, of_voc, of_sbd))
    path = list_file(root, settings.splits, "train")
    return image_ids, [Fault(FaultKind.LIST_LENGTH, str(path), f"{detail}: {counts}")]


def listed_train_aug_warnings(root: Path, settings: VocDataset, listed: int) -> list[Fault]:
    """A warning if a file ``train_aug`` with VOC's classes does not list the usual number of images."""
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
    """How many images each source has, and how many it would have if complete."""
    counts = [_count(str(own_list(root, name)), len(ids), OF_VOC[name]) for name, ids in of_voc.items()]
    if sbd.own_folder is not None:
        return counts + [_count(source, len(ids), OF_SBD[Path(source).stem]) for source, ids in of_sbd.items()]
    for source, ids in of_sbd.items():  # folders of PNG masks may or may not have the images of VOC's own lists
        beyond = len(set(ids).difference(*of_voc.values()))
        counts.append(_count(f"{source}, without images of VOC's lists,", beyond, IMAGES - OF_VOC["train"]))
    return counts


def _count(source: str, number: int, expected: int) -> str:
    if number == expected:
        return f"{source} has its {number:,}"
    difference = f"{abs(number - expected):,} {'are missing' if number < expected else 'too many'}"
    return f"{source} has {number:,} instead of {expected:,} ({difference})"
