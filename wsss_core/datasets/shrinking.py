"""Shrinks large images once, while the index is made; all later stages read the small files."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from wsss_core.datasets.raw_dataset import ListedImage
from wsss_core.errors import full_disk_explained
from wsss_core.files.atomic import atomic_path, scratch_folder
from wsss_core.files.record import read_record
from wsss_core.files.resume import PartialWork

Size = tuple[int, int]
"""Height and width, pixels."""
FOLDER = "images"
"""Folder of the shrunken images, next to the index."""
JPEG, PNG = ".jpg", ".png"
"""Suffixes, and so formats, of shrunken images."""
JPEG_QUALITY = 95
UNCHANGED = "-"
"""In the record of finished images, in place of a suffix: the image was small enough."""
log = logging.getLogger(__name__)


def shrunken_size(size: Size, long_side: int) -> Size:
    """The size of an image whose longer side is ``long_side`` pixels at most; never larger than ``size``."""
    longer = max(size)
    if longer <= long_side:
        return size
    height, width = (max(1, round(side * long_side / longer)) for side in size)
    return height, width


def shrink_mask(mask: np.ndarray, size: Size) -> np.ndarray:
    """The mask at another size: each new pixel takes the value at its centre.

    Args:
        mask: (H, W), any dtype.
        size: the new height and width.
    """
    rows, columns = (((np.arange(to) + 0.5) * of / to).astype(int) for to, of in zip(size, mask.shape, strict=True))
    return np.ascontiguousarray(mask[np.ix_(rows, columns)])


def write_shrunken(source: Path, image: np.ndarray, size: Size, target: Path) -> str:
    """Shrink an image, averaging over what each new pixel covers (Lanczos), and write it atomically.

    A JPEG file becomes a JPEG file again, of high quality and with colours at full resolution: as PNG, a photograph is
    several times as large, is slower to decode and keeps the old JPEG's noise. All other files become PNG, which is
    lossless.

    Args:
        source: the image's original file; its first bytes say whether it is a JPEG.
        image: uint8 (H, W, 3), upright.
        size: the new height and width.
        target: the file to write, without its suffix.

    Returns:
        The suffix.
    """
    small = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    with open(source, "rb") as file:
        suffix = JPEG if file.read(3) == b"\xff\xd8\xff" else PNG
    with atomic_path(f"{target}{suffix}") as temporary:
        if suffix == JPEG:
            small.save(temporary, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
        else:
            small.save(temporary, format="PNG")
    return suffix


class Levels(NamedTuple):
    """How bright an image is."""

    darkest: int
    """The smallest value of any colour, 0 to 255, as networks see it."""
    brightest: int
    """The largest value."""
    bits: int | None
    """How many bits a file with 16-bit grey uses; None for others."""
    narrow: int | None = None
    """How many neighbouring values 99 % of the pixels of a 16-bit file have; None for others."""


class _Finished(NamedTuple):
    """What is known of a finished image."""

    fingerprint: str
    """Of the file, see :func:`fingerprint`."""
    size: Size
    """The image's original size."""
    levels: Levels
    """How bright it is."""
    suffix: str
    """Of the shrunken file, or ``UNCHANGED``."""


class Shrinking:
    """Shrinks a data set's large images; work of a killed or failed run is not repeated.

    The files are made in the artifact's folder of partial work, and appear all at once as its folder ``images``.
    """

    def __init__(self, artifact: Path, long_side: int) -> None:
        """Look up what an earlier run has done.

        Args:
            artifact: the folder of the index.
            long_side: the longer side of each image has at most this many pixels, see ``dataset.long_side``.
        """
        self.long_side = long_side
        self._artifact, self._all_linked = artifact, True
        # No inputs: each file's own state says whether its copy is still valid.
        self._partial_work = PartialWork(artifact, "images", [])
        self._record = self._partial_work.path("looked_at.txt")
        self._finished = _read_record(self._record)
        if self._finished:
            log.info("Checking images: continuing after %d images", len(self._finished))

    def target(self, image_id: str) -> Path:
        """Where an image's shrunken copy is made, without suffix; names of all ids have the same length."""
        return self._partial_work.path(hashlib.sha256(repr(image_id).encode()).hexdigest()[:24])

    def known_size(self, image: ListedImage) -> Size | None:
        """The image's original size, if this or an earlier run has finished the file in its present state."""
        known = self._finished.get(image.image_id)
        if known is None or known.fingerprint != fingerprint(image.image):
            return None
        done = known.suffix == UNCHANGED or self._copy(image.image_id, known.suffix).exists()
        return known.size if done else None

    def levels(self, image_id: str) -> Levels:
        """How bright a finished image is."""
        return self._finished[image_id].levels

    def remember(self, image: ListedImage, fingerprint: str, size: Size, levels: Levels, suffix: str | None) -> None:
        """Record that an image is finished, and has a copy with this suffix (None: it needs no copy)."""
        known = _Finished(fingerprint, size, levels, suffix or UNCHANGED)
        self._finished[image.image_id] = known
        with (
            full_disk_explained(self._record),
            open(self._record, "a", encoding="utf-8", errors="surrogateescape") as file,
        ):
            in_words = "-".join(str(value or 0) for value in levels)
            print(fingerprint, *size, in_words, known.suffix, image.image_id, file=file)

    def place(self, images: Sequence[ListedImage]) -> Mapping[str, Path]:
        """Put the copies of these images, all finished, into the folder ``images``, replacing what is there.

        Returns:
            The copies by image id; small images have none.
        """
        folder = self._artifact / FOLDER
        placed: dict[str, Path] = {}
        with scratch_folder(self._partial_work.folder) as scratch:
            made = scratch / FOLDER
            made.mkdir()
            for image_id, suffix in ((image.image_id, self._finished[image.image_id].suffix) for image in images):
                if suffix != UNCHANGED:
                    name = f"{image_id}{suffix}"
                    (made / name).parent.mkdir(parents=True, exist_ok=True)
                    self._all_linked &= _link_or_move(self._copy(image_id, suffix), made / name)
                    placed[image_id] = folder / name
            with suppress(FileNotFoundError):
                os.rename(folder, scratch / "old")
            os.rename(made, folder)
        return placed

    def finish(self, index_csv: Path) -> None:
        """Mark the work as finished. The copies are kept until Snakemake has noted it, see ``PartialWork.finish``."""
        kept = [path.name for path in self._partial_work.folder.iterdir()] if self._all_linked else []
        self._partial_work.finish(index_csv, further=kept)

    def _copy(self, image_id: str, suffix: str) -> Path:
        target = self.target(image_id)
        return target.with_name(f"{target.name}{suffix}")


def fingerprint(path: Path) -> str:
    """A short digest of a file's path, size and modification time; empty if the file is missing."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return hashlib.sha256(repr((str(path), status.st_size, status.st_mtime_ns)).encode()).hexdigest()[:16]


def _link_or_move(source: Path, target: Path) -> bool:
    """Make ``target`` the same file as ``source``; returns whether ``source`` is still there."""
    try:
        os.link(source, target)
        return True
    except OSError:  # the file system has no hard links, or the file belongs to another user
        os.replace(source, target)
        return False


def _read_record(record: Path) -> dict[str, _Finished]:
    """What an earlier run has finished, by image id."""
    finished = {}
    for line in read_record(record):
        with suppress(ValueError):
            fingerprint, height, width, levels, suffix, image_id = line.split(" ", 5)
            darkest, brightest, bits, narrow = map(int, levels.split("-"))
            if suffix in (UNCHANGED, JPEG, PNG) and min(size := (int(height), int(width))) > 0:
                found = Levels(darkest, brightest, bits or None, narrow or None)
                finished[image_id] = _Finished(fingerprint, size, found, suffix)
    return finished
