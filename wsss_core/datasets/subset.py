"""Lists of image ids, one a line: the images with masks that choose a threshold or train a segmenter."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError


def read_subset(path: Path) -> list[str]:
    """The ids in a text file, each once, in its order; empty lines are skipped.

    Raises:
        UserError: the file is missing, is not text, or names no image.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors mark UTF-8 at the beginning
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; it lists image ids, one a line") from None
    except (OSError, ValueError) as error:  # ValueError: no text, or a path with a null character
        raise UserError(f"{path}: the list of images cannot be read ({error})") from None
    # Not splitlines, which also splits at characters that may be part of a name.
    listed = list(dict.fromkeys(filter(None, map(str.strip, text.split("\n")))))
    if not listed:
        raise UserError(f"{path}: the list names no image; it holds one id a line")
    return listed


def listed_among(image_ids: Iterable[str], lists: Sequence[str]) -> list[str]:
    """The images that a list names, in the order of ``image_ids``; all of them without a list.

    The list may also name images that were left out of the data set (``on_fault: skip``).

    Args:
        image_ids: the images.
        lists: no file, or one that lists images; see :func:`read_subset`.

    Raises:
        UserError: the list cannot be read, or names none of the images.
    """
    found = list(image_ids)
    for file in lists:
        named = set(read_subset(Path(file)))
        known = [image_id for image_id in found if image_id in named]
        if found and not known:
            raise UserError(
                f"{file}: names none of the {len(found)} training images; only images that it names are scored"
            )
        found = known
    return found


def showing_objects(image_ids: Iterable[str], index: DatasetIndex | None) -> list[str]:
    """The images that show an object, in the order of ``image_ids``; all of them without an index.

    Args:
        image_ids: images of the index.
        index: the data set.
    """
    if index is None:
        return list(image_ids)
    labels = dict(zip(index.image_ids, index.columns["labels"], strict=True))
    return [image_id for image_id in image_ids if labels[image_id]]


def masks_of_subset(
    subset: Path, index: DatasetIndex, masks: Mapping[str, Path], not_all: bool = False
) -> dict[str, Path]:
    """The masks of the images that a text file lists, by image id, in its order.

    Args:
        subset: the list; see :func:`read_subset`.
        index: the data set.
        masks: mask files by image id.
        not_all: refuse a list of all training images.

    Raises:
        UserError: the list cannot be read or is empty, an image is not in the split ``train`` or has no mask, or the
            list names all training images although ``not_all``.
    """
    listed = read_subset(subset)
    for known, what in ((set(index.split("train").image_ids), "is no training image"), (masks, "has no mask")):
        strangers = [image_id for image_id in listed if image_id not in known]
        if strangers:
            raise UserError(
                f"{subset}: '{strangers[0]}' {what} ({len(strangers)} of {len(listed)} like it); the list is for "
                "training images with masks"
            )
    if not_all and len(listed) == len(index.split("train")):
        raise UserError(
            f"{subset}: lists all {len(listed)} training images, but 'masks_of' is for masks of some; leave it out and "
            "set 'labels: masks'"
        )
    return {image_id: masks[image_id] for image_id in listed}
