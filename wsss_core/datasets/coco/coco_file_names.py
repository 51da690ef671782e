"""Image ids from file names in ``instances_*.json``, and faults for names without a file."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.image_ids import ImageFiles, find_image_files, is_text
from wsss_core.datasets.raw_dataset import ListedImage

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def image_id_of(file_name: str) -> str | None:
    """The id of an image file: its name without the suffix; None if the name cannot be an id."""
    path = PurePosixPath(file_name)
    fit = not path.is_absolute() and ".." not in path.parts and path.name and "\\" not in file_name
    fit = fit and is_text(file_name)
    if not fit or CONTROL_CHARACTER.search(file_name):
        return None
    return str(path.with_suffix(""))


def missing_image_faults(missing: Sequence[ListedImage], folder: Path) -> list[Fault]:
    """Faults for missing images, with the file that each may mean: exporters write names in many ways."""
    faults = []
    files = find_image_files(folder) if missing else ImageFiles(folder)
    for image in missing:
        name = image.image.relative_to(folder).as_posix()
        near = files.near(name) or files.near(unquote(name))
        wanted = f"{near}: 'file_name' is the path from {folder} on" if near else ""
        detail = f"add the image or remove {image.image_id!r} from its list{wanted}"
        faults.append(Fault(FaultKind.MISSING_IMAGE, str(image.image), detail, image.image_id))
    return faults
