"""Decodes every image of a data set once, in several processes: checks it, measures it, and shrinks it if large."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.images import grey_bits, has_16_bits, image_size, read_image
from wsss_core.datasets.raw_dataset import ListedImage
from wsss_core.datasets.shrinking import Levels, Shrinking, Size, fingerprint, shrunken_size, write_shrunken
from wsss_core.datasets.unreadable_images import what_it_is
from wsss_core.errors import UserError
from wsss_core.jobs.image_pool import ImagePool, processes_to_decode
from wsss_core.jobs.progress import progress

OTHER_SUFFIXES = ("", ".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG", ".heic", ".HEIC", ".heif")
FEW_LEVELS = 32
"""A warning if an image's brightest and darkest values (0 to 255) differ by less; for 16-bit files, those of
``NEARLY_ALL`` pixels."""
NEARLY_ALL = 0.99
"""Share of an image's pixels; the others may be dead or saturated."""


def check_images(
    images: Sequence[ListedImage], threads: int = 1, shrinking: Shrinking | None = None
) -> tuple[dict[str, Size], list[Fault], list[Fault]]:
    """Decode images, and shrink large ones, each once.

    Args:
        images: the images to check.
        threads: decoding processes, at most; a few images are decoded in this process.
        shrinking: makes shrunken copies of large images, if given. Images that an earlier run finished are not
            decoded again.

    Returns:
        The original size by image id, also of damaged images with a readable header; a fault for each image that is
        missing or cannot be decoded, in the order of ``images``; and warnings about brightness.
    """
    sizes: dict[str, Size] = {}
    levels: dict[str, Levels] = {}
    faults: list[Fault] = []
    listed = images
    if shrinking is not None:
        known = ((image.image_id, shrinking.known_size(image)) for image in images)
        sizes = {image_id: size for image_id, size in known if size is not None}
        levels = {image_id: shrinking.levels(image_id) for image_id in sizes}
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
            if look.levels is not None:
                levels[image_ids[at]] = look.levels
            if look.fault is not None:
                faults.append(Fault(look.fault[0], str(images[at].image), look.fault[1], image_ids[at]))
            elif shrinking is not None and look.size is not None and look.levels is not None:
                shrinking.remember(images[at], look.fingerprint, look.size, look.levels, look.suffix)
    return sizes, faults, _odd_levels(listed, levels)


def _odd_levels(images: Sequence[ListedImage], levels: Mapping[str, Levels]) -> list[Fault]:
    """Warnings: one for each image with hardly any contrast, and one for all that do not use their 16 bits."""
    odd = []
    for image in images:
        darkest, brightest, _, narrow = levels.get(image.image_id, Levels(0, 255, None))
        if brightest - darkest < FEW_LEVELS:
            detail = (
                f"is nearly uniform: its values go from {darkest} to {brightest}, of 0 to 255; if it should show more, "
                "stretch its values, and save it as 8-bit JPEG or PNG"
            )
            odd.append(Fault(FaultKind.FEW_LEVELS, str(image.image), detail, image.image_id))
        elif narrow is not None and narrow < FEW_LEVELS:
            detail = (
                f"has 16 bits, of which networks see 8: 99 % of its pixels have only {narrow} of the 256 values, as a "
                "few pixels are far brighter or darker; stretch the values without those, and save it as 8-bit PNG"
            )
            odd.append(Fault(FaultKind.FEW_LEVELS, str(image.image), detail, image.image_id))
    deep = [image for image in images if image.image_id in levels and levels[image.image_id].bits not in (None, 16)]
    if deep:
        of_16_bits = (looked.bits for looked in levels.values() if looked.bits is not None)
        counts = sorted(Counter(of_16_bits).items(), reverse=True)
        used = ", ".join(f"{bits} bits (values below {2**bits}) in {number} images" for bits, number in counts)
        differ = (
            "; because these differ, equal values become different greys: save all images as 8-bit with the same range"
            if len(counts) > 1
            else ""
        )
        detail = f"each is stretched by the bits that it uses: {used}{differ}"
        odd.append(Fault(FaultKind.FEW_BITS, str(deep[0].image), detail))
    return odd


@dataclass(frozen=True)
class _Look:
    """What was found in an image file."""

    size: Size | None = None
    """The image's original size, if it is readable."""
    fault: tuple[FaultKind, str] | None = None
    """What is wrong with the file."""
    levels: Levels | None = None
    """How bright the image is, if it can be read."""
    fingerprint: str = ""
    """The file's state before it was read."""
    suffix: str | None = None
    """Suffix of the shrunken copy, if one was made."""


def _look_at(path: Path, image_id: str, copy: Path | None, long_side: int) -> _Look:
    """Decode an image. If it is larger than ``long_side``, write a shrunken copy to ``copy`` (if given)."""
    if not os.path.isfile(path):
        # Not Path.is_file, which raises an error if the name is longer than the file system allows.
        detail = f"add the image{_near(path)} or remove {image_id!r} from its list"
        return _Look(fault=(FaultKind.MISSING_IMAGE, detail))
    state = "" if copy is None else fingerprint(path)
    try:
        image = read_image(path)
    except UserError as error:
        size = None
        with suppress(UserError):
            size = image_size(path)
        return _Look(size, (FaultKind.BROKEN_IMAGE, str(error).removeprefix(f"{path}: ")))
    size = image.shape[0], image.shape[1]
    narrow = _narrow(image) if has_16_bits(path) else None
    levels = Levels(int(image.min()), int(image.max()), grey_bits(path), narrow)
    smaller = size if copy is None else shrunken_size(size, long_side)
    if copy is None or smaller == size:
        return _Look(size, levels=levels, fingerprint=state)
    suffix = write_shrunken(path, image, smaller, copy)
    return _Look(size, levels=levels, fingerprint=state, suffix=suffix)


def _narrow(image: np.ndarray) -> int:
    """Length of the shortest range of values (of 256) that holds ``NEARLY_ALL`` of an image's values (uint8)."""
    up_to = np.concatenate([[0], np.cumsum(np.bincount(image.ravel(), minlength=256))])
    # For each first value, the end of the shortest range that holds enough.
    last = np.searchsorted(up_to, up_to[:-1] + NEARLY_ALL * image.size)
    return int((last - np.arange(256))[last <= 256].min())


def _near(path: Path) -> str:
    """A hint in parentheses (or nothing) at the file that a missing one may mean."""
    if os.path.islink(path):
        return f" (it is a link that leads nowhere, to {os.readlink(path)!r})"
    near = next((other for other in map(path.with_suffix, OTHER_SUFFIXES) if os.path.isfile(other)), None)
    if near is None:
        return ""
    if near.suffix and (what := what_it_is(near)) is not None:
        return f" ({near.name!r} is there: {what})"
    return f" ({near.name!r} is there: save or rename it as {path.suffix or path.name})"
