"""The files and lists of a data set in the PASCAL VOC layout."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss_core.config.dataset import Splits
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.index import SPLITS

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
LISTS = "ImageSets/Segmentation"
MASKS = "SegmentationClass"


def image_file(root: Path, image_id: str) -> Path:
    """The image of an id."""
    return root / IMAGES / f"{image_id}.jpg"


def annotation_file(root: Path, image_id: str) -> Path:
    """The annotation of an id, which names the objects in the image."""
    return root / ANNOTATIONS / f"{image_id}.xml"


def mask_file(root: Path, image_id: str) -> Path:
    """The mask of an id."""
    return root / MASKS / f"{image_id}.png"


def list_file(root: Path, lists: Splits, split: str) -> Path:
    """The list of the image ids of a split: ``train``, ``val`` or ``test``."""
    return root / LISTS / f"{getattr(lists, split)}.txt"


def layout_faults(root: Path, list_files: Mapping[Path, str]) -> list[Fault]:
    """Faults for missing folders and lists.

    Args:
        root: folder of the data set.
        list_files: the required lists, each with a description.
    """

    def missing(path: Path, detail: str) -> Fault:
        return Fault(FaultKind.LAYOUT, str(path), detail)

    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        wanted = f"expected a folder that holds {IMAGES}, {ANNOTATIONS} and {LISTS}"
        return [missing(root, f"{what}; {wanted}")]
    faults = []
    for name, content in (
        (IMAGES, "the images, <id>.jpg"),
        (ANNOTATIONS, "the objects of each image, <id>.xml"),
        (LISTS, "the lists of image ids, <list>.txt"),
    ):
        if not (root / name).is_dir():
            deeper = [*root.glob(f"*/{name}"), *root.glob(f"*/*/{name}")]
            hint = f" ({deeper[0]} exists: is 'root' one folder too high?)" if deeper else ""
            faults.append(missing(root / name, f"expected a folder with {content}{hint}"))
    if (root / LISTS).is_dir():
        there = ", ".join(sorted(path.stem for path in (root / LISTS).glob("*.txt"))) or "none"
        for path, what in list_files.items():
            if not path.is_file():
                faults.append(missing(path, f"expected {what}, one id a line (lists there: {there})"))
    return faults


def read_lists(
    root: Path,
    lists: Splits,
    faults: list[Fault],
    splits: Sequence[str] = SPLITS,
    computed: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Read which image is in which split.

    Args:
        root: folder of the data set.
        lists: names of the lists.
        faults: faults of the lists are appended here, except missing ones.
        splits: the splits to read, in this order.
        computed: the (usable) ids of splits that are computed and not read from a file.

    Returns:
        Split by image id, in the order of the lists, training images first. Unusable ids are left out; an id that is
        listed twice keeps its first place.
    """
    found: dict[str, str] = {}
    read: dict[Path, str] = {}
    for split in splits:
        if computed and split in computed:
            found.update((image_id, split) for image_id in computed[split] if image_id not in found)
            continue
        path = list_file(root, lists, split)
        if path in read:
            detail = f"is the list of both splits; give '{read[path]}' and '{split}' in 'splits' different lists"
            faults.append(Fault(FaultKind.LIST, str(path), detail))
            continue
        read[path] = split
        for image_id, lines in read_ids(path, faults).items():
            other = found.setdefault(image_id, split)
            if len(lines) > 1:
                detail = f"{image_id!r} is in lines {', '.join(map(str, lines))}; keep one of them"
                faults.append(Fault(FaultKind.REPEATED_ID, str(path), detail, image_id))
            if other != split:
                other_list = list_file(root, lists, other).name
                detail = f"{image_id!r} is also in {other_list}; remove it from one of the two lists"
                faults.append(Fault(FaultKind.SHARED_ID, str(path), detail, image_id))
    return found


def read_ids(path: Path, faults: list[Fault]) -> dict[str, list[int]]:
    """The ids of a list, each with its line numbers.

    Args:
        path: a text file; there are no ids if it is missing.
        faults: faults of the file and of unusable ids, which are left out, are appended here.
    """
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(FaultKind.LIST, str(path), f"is not readable as UTF-8 ({error})"))
        return {}
    listed = _lines_of_ids(text)
    if not listed:
        faults.append(Fault(FaultKind.LIST, str(path), "is empty; expected image ids"))
    for image_id, lines in listed.items():
        if not usable(image_id):
            wanted = "expected only the name of the image, without folders (no '/' or '\\') and without '.jpg'"
            detail = f"line {lines[0]} is {image_id!r}; {wanted}"
            faults.append(Fault(FaultKind.IMAGE_ID, str(path), detail, image_id))
    return {image_id: lines for image_id, lines in listed.items() if usable(image_id)}


def _lines_of_ids(text: str) -> dict[str, list[int]]:
    """The ids of a list, each with its line numbers."""
    lines: dict[str, list[int]] = {}
    # Not splitlines(), which also splits at characters that may be part of an id.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            lines.setdefault(line.strip(), []).append(number)
    return lines


def usable(image_id: str) -> bool:
    """Whether an id can be the name of a file and of an HDF5 group."""
    return image_id not in (".", "..") and not any(
        character in "/\\" or unicodedata.category(character) == "Cc" for character in image_id
    )
