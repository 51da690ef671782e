"""Finds the images of a command line's files and folders, and gives each a name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsss_core.datasets.image_ids import find_image_files, folders_in, is_text, label_map_clashes
from wsss_core.errors import UserError
from wsss_core.segmentation.segmented_folder import SUFFIXES, is_segmented


@dataclass
class NewImages:
    """The images to segment."""

    files: dict[str, Path] = field(default_factory=dict)
    """By name, in the order of the command line. The name is a file's name without suffix; in a folder, the path from
    there, with ``/`` between folders."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with the names or formats of further files."""


def find_new_images(given: Sequence[Path], left_out: Sequence[Path] = ()) -> NewImages:
    """The images at some paths, without the results of ``python -m wsss_core segment`` in a folder.

    Args:
        given: image files, and folders of images at any depth.
        left_out: folders within those to leave out.

    Raises:
        UserError: a path does not exist, a folder has no image, or the results of two files would have the same name.
    """
    found, folders_left_out = NewImages(), [folder.resolve() for folder in left_out]
    for path in given:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder")
        if path.is_dir():
            inside = find_image_files(path)
            earlier = [made / kind for made in folders_in(path) if is_segmented(made) for kind in SUFFIXES]
            left_out_here = [*folders_left_out, *(folder.resolve() for folder in earlier)]
            files = {name: file for name, file in inside.files.items() if not _within(file, left_out_here)}
            faults = [
                f"{fault.file}: {fault.detail}"
                for fault in [*inside.faults, *inside.unread()]
                if not _within(Path(fault.file), left_out_here)
            ]
            if not files and not faults:
                raise UserError(f"{path}: holds no images (by their suffixes, such as .jpg, .png or .tif)")
        elif is_text(path.name):
            files, faults = {path.stem: path}, []
        else:
            shown = str(path).encode("utf-8", "backslashreplace").decode()
            files, faults = {}, [f"{shown}: the name is not UTF-8; rename it, for example with `convmv`"]
        for name, file in files.items():
            if name in found.files and found.files[name].resolve() != file.resolve():
                raise UserError(
                    f"{found.files[name]} and {file}: their results would have the same name, '{name}'; rename one, "
                    "give the folder that holds both, or write them to different folders"
                )
            found.files.setdefault(name, file)
        found.faults += faults
    for name, detail in label_map_clashes(found.files):
        raise UserError(f"{found.files[name]}: {detail}")
    return found


def _within(file: Path, folders: Sequence[Path]) -> bool:
    resolved = file.resolve()
    return any(folder in resolved.parents for folder in folders)
