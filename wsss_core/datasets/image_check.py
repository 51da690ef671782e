"""Decoding every image of a data set once, in several processes, to know its size and that it can be read."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.images import image_size, read_image
from wsss_core.datasets.raw_dataset import ListedImage
from wsss_core.errors import UserError
from wsss_core.image_pool import ImagePool, processes_to_decode
from wsss_core.progress import progress

Size = tuple[int, int]
"""Height and width, pixels."""
OTHER_SUFFIXES = ("", ".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG")


def check_images(images: Sequence[ListedImage], threads: int = 1) -> tuple[dict[str, Size], list[Fault]]:
    """Decode images.

    Args:
        images: the images to look at.
        threads: processes that decode, at most; few images are decoded in this one.

    Returns:
        Size by image id, also of a damaged image if its header tells it; and a fault for each image that is missing
        or cannot be decoded, in the order of ``images``.
    """
    threads = processes_to_decode(len(images), threads)
    sizes: dict[str, Size] = {}
    faults: list[Fault] = []
    image_ids = [image.image_id for image in images]
    with ImagePool(_look_at, lambda at: (images[at].image, image_ids[at]), image_ids, threads) as pool:
        for at in progress(range(len(images)), "Checking images"):
            size, fault = pool(at)
            if size is not None:
                sizes[images[at].image_id] = size
            if fault is not None:
                faults.append(Fault(fault[0], str(images[at].image), fault[1], images[at].image_id))
    return sizes, faults


def _look_at(path: Path, image_id: str) -> tuple[Size | None, tuple[FaultKind, str] | None]:
    """The image's size, if it can be told, and what is wrong with its file."""
    if not os.path.isfile(path):
        # Not Path.is_file, which raises an error where the name is longer than the file system allows.
        near = [other.name for other in map(path.with_suffix, OTHER_SUFFIXES) if os.path.isfile(other)]
        hint = f" ({near[0]!r} is there: save or rename it as {path.suffix or path.name})" if near else ""
        return None, (FaultKind.MISSING_IMAGE, f"add the image{hint} or take {image_id!r} off its list")
    try:
        height, width, _ = read_image(path).shape
    except UserError as error:
        size = None
        with suppress(UserError):
            size = image_size(path)
        return size, (FaultKind.BROKEN_IMAGE, str(error).removeprefix(f"{path}: "))
    return (height, width), None
