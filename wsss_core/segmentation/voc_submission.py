"""Makes the archive of label maps for the PASCAL VOC server.

The layout is that of the VOC2012 development kit: ``results/VOC2012/Segmentation/<competition>_test_cls/<id>.png``, an
8-bit palette image of the same size for each image of the test list. Its values are the classes; 255 is not allowed.
"""

import gzip
import io
import logging
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.palette import voc_palette
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path

SHOWN = 20
"""A message lists at most this many faults."""
log = logging.getLogger(__name__)


def make_voc_submission(
    label_maps: Mapping[str, Path], index: DatasetIndex, competition: str, archive_tgz: Path
) -> None:
    """Pack the test images' label maps for the VOC server, and check the archive.

    Args:
        label_maps: palette PNG files by image id.
        index: the test images.
        competition: ``comp5`` or ``comp6``.
        archive_tgz: the archive to write; equal label maps give equal bytes.

    Raises:
        UserError: the server would refuse the archive (see :func:`submission_faults`), or a file is missing.
    """
    folder = submission_folder(competition)
    with atomic_path(archive_tgz) as temporary:
        with (
            open(temporary, "wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for image_id, path in label_maps.items():
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise UserError(f"{path}: cannot be read ({error.strerror})") from None
                member = tarfile.TarInfo(f"{folder}/{image_id}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        faults = list(submission_faults(temporary, index, competition))
        if faults:
            more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
            lines = "\n".join(f"  {fault}" for fault in [*faults[:SHOWN], *more])
            raise UserError(f"{archive_tgz}: the VOC server would refuse this archive:\n{lines}")
    log.info("%s: %d label maps for %s, checked", archive_tgz, len(label_maps), competition)


def submission_folder(competition: str) -> str:
    """The folder of the label maps of ``comp5`` or ``comp6`` in the archive."""
    return f"results/VOC2012/Segmentation/{competition}_test_cls"


def submission_faults(archive_tgz: Path, index: DatasetIndex, competition: str) -> Iterator[str]:
    """The reasons for which the VOC server would refuse an archive.

    Args:
        archive_tgz: the archive.
        index: the test images, with their sizes.
        competition: ``comp5`` or ``comp6``.

    Yields:
        A sentence for each file that is missing, does not belong there, or is not a palette PNG with VOC's colours, the
        image's size and the values 0 to K.
    """
    folder, rows = submission_folder(competition), index.table
    sizes = zip(rows["image_id"], rows["height"], rows["width"], strict=True)
    missing = {f"{folder}/{image_id}.png": (height, width) for image_id, height, width in sizes}
    with tarfile.open(archive_tgz) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or member.name not in missing:
                yield f"{member.name}: belongs to no image of the test list"
                continue
            for fault in _label_map_faults(content.read(), missing.pop(member.name), len(index.classes)):
                yield f"{member.name}: {fault}"
    for name in missing:
        yield f"{name}: is missing"


def _label_map_faults(content: bytes, size: tuple[int, int], classes: int) -> Iterator[str]:
    try:
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        yield f"cannot be read as an image ({error})"
        return
    if image.format != "PNG" or image.mode != "P":
        yield f"is {image.format} of mode {image.mode}; expected a PNG with a palette"
        return
    # Pillow reads as many colours as the file has; a larger value has no colour.
    colours = np.array(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    if len(colours) <= classes or (colours != voc_palette()[: len(colours)]).any():
        yield "has other colours than VOC's palette"
    values = np.asarray(image)
    if values.shape != size:
        yield f"is {values.shape[0]} high and {values.shape[1]} wide; its image is {size[0]} high and {size[1]} wide"
    beyond = [str(value) for value in np.unique(values) if value > classes]
    if beyond:
        yield f"has the values {', '.join(beyond[:8])}; allowed are 0 to {classes}"
