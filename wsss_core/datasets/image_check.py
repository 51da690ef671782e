"""Decoding every image of a data set once, in several processes: can it be read, how large is it, must it be shrunk."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.images import image_size, read_image
from wsss_core.datasets.raw_dataset import ListedImage
from wsss_core.datasets.shrinking import Shrinking, Size, fingerprint, shrunken_size, write_shrunken
from wsss_core.errors import UserError
from wsss_core.jobs.image_pool import ImagePool, processes_to_decode
from wsss_core.jobs.progress import progress

OTHER_SUFFIXES = ("", ".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG")


def check_images(
    images: Sequence[ListedImage], threads: int = 1, shrinking: Shrinking | None = None
) -> tuple[dict[str, Size], list[Fault]]:
    """Decode images, and shrink large ones, each once.

    Args:
        images: the images to look at.
        threads: processes that decode, at most; few images are decoded in this one.
        shrinking: where shrunken copies of large images are made, if they are. Images that an earlier run has done
            with are not decoded again.

    Returns:
        The image's own size by image id, also of a damaged image if its header tells it; and a fault for each image
        that is missing or cannot be decoded, in the order of ``images``.
    """
    sizes: dict[str, Size] = {}
    faults: list[Fault] = []
    if shrinking is not None:
        known = ((image.image_id, shrinking.known_size(image)) for image in images)
        sizes = {image_id: size for image_id, size in known if size is not None}
        images = [image for image in images if image.image_id not in sizes]
    threads = processes_to_decode(len(images), threads, shrink=shrinking is not None)
    image_ids = [image.image_id for image in images]

    def arguments(at: int) -> tuple[Path, str, Path | None, int]:
        if shrinking is None:
            return images[at].image, image_ids[at], None, 0
        return images[at].image, image_ids[at], shrinking.target(image_ids[at]), shrinking.long_side

    with ImagePool(_look_at, arguments, image_ids, threads) as pool:
        for at in progress(range(len(images)), "Checking images"):
            look = pool(at)
            if look.size is not None:
                sizes[image_ids[at]] = look.size
            if look.fault is not None:
                faults.append(Fault(look.fault[0], str(images[at].image), look.fault[1], image_ids[at]))
            elif shrinking is not None and look.size is not None:
                shrinking.remember(images[at], look.fingerprint, look.size, look.suffix)
    return sizes, faults


@dataclass(frozen=True)
class _Look:
    """What a look at an image's file gave."""

    size: Size | None = None
    """The image's own size, if it can be told."""
    fault: tuple[FaultKind, str] | None = None
    """What is wrong with the file."""
    fingerprint: str = ""
    """Of the file, before it was read."""
    suffix: str | None = None
    """Of the shrunken copy, if one was made."""


def _look_at(path: Path, image_id: str, copy: Path | None, long_side: int) -> _Look:
    """Decode an image; one that is larger than ``long_side`` gets a shrunken copy, if ``copy`` says where."""
    if not os.path.isfile(path):
        # Not Path.is_file, which raises an error where the name is longer than the file system allows.
        near = [other.name for other in map(path.with_suffix, OTHER_SUFFIXES) if os.path.isfile(other)]
        hint = f" ({near[0]!r} is there: save or rename it as {path.suffix or path.name})" if near else ""
        return _Look(fault=(FaultKind.MISSING_IMAGE, f"add the image{hint} or take {image_id!r} off its list"))
    state = "" if copy is None else fingerprint(path)
    try:
        image = read_image(path)
    except UserError as error:
        size = None
        with suppress(UserError):
            size = image_size(path)
        return _Look(size, (FaultKind.BROKEN_IMAGE, str(error).removeprefix(f"{path}: ")))
    size = image.shape[0], image.shape[1]
    smaller = size if copy is None else shrunken_size(size, long_side)
    if copy is None or smaller == size:
        return _Look(size, fingerprint=state)
    return _Look(size, fingerprint=state, suffix=write_shrunken(path, image, smaller, copy))
