"""Image ids, made from file paths in a folder, and the files that names in tables refer to."""

import logging
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.images import image_suffixes
from wsss_core.datasets.unreadable_images import what_it_is
from wsss_core.files.names import LONGEST_PATH, bytes_of, longest_name

# fmt: off
PICTURES = frozenset({
    ".heic", ".heif", ".hif", ".jxl", ".avif", ".eps", ".ps", ".svg", ".pdf", ".psd", ".xcf", ".ico", ".tga", ".exr",
    ".hdr", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".raw", ".dcm", ".dicom", ".nii", ".fits",
    ".npy", ".czi", ".nd2", ".lif", ".svs", ".ndpi", ".mrxs", ".vsi", ".mp4", ".mov", ".avi", ".mkv", ".icloud",
})
# fmt: on
"""Suffixes, lower case, of pictures and videos that are not read but that users may expect to be."""
_MANIFEST = re.compile(r"\d{3}-of-\d{3}\.csv", re.IGNORECASE)
"""Names of the lists of label maps (see ``files/shards.py``), which are in the same folder as the maps."""
_BEFORE_AN_ID = 340
"""Bytes of a label map's path between the data set's results and its id: stage, artifact, folder."""
log = logging.getLogger(__name__)


@dataclass
class ImageFiles:
    """The image files of a folder, by id."""

    folder: Path
    """The folder; paths begin with it as given here."""
    files: dict[str, Path] = field(default_factory=dict)
    """Image files by id (path in the folder, without suffix, ``/`` between folders, Unicode NFC), sorted by id."""
    faults: list[Fault] = field(default_factory=list)
    """Files whose id cannot be used or is not unique; they are not in ``files``."""
    others: list[Path] = field(default_factory=list)
    """Files without an image suffix, and broken links."""

    def __post_init__(self) -> None:
        """Prepare the look-up of names."""
        self._names: dict[str, str] = {}
        self._folded: dict[str, str] = {}
        self._ends: dict[str, list[str]] = {}
        self._others: dict[str, Path] = {}
        for image_id, path in self.files.items():
            self._names[_normal(path.relative_to(self.folder).as_posix())] = image_id
        for image_id in self.files:
            self._names.setdefault(image_id, image_id)

    def find(self, name: str) -> str | None:
        """The id of the image that a table names; None if there is none.

        Args:
            name: path in the folder, or starting with the folder's name; with or without suffix, and with ``/`` or
                backslashes.
        """
        for spelling in self._spellings(name):
            if spelling in self._names:
                return self._names[spelling]
        return None

    def near(self, name: str) -> str:
        """A hint in parentheses (or nothing) at the file that an unknown name may mean."""
        if not self._ends:
            self._ends = defaultdict(list)
            for image_id, path in self.files.items():
                self._folded.setdefault(image_id.casefold(), image_id)
                self._folded.setdefault(_normal(path.relative_to(self.folder).as_posix()).casefold(), image_id)
                self._ends[image_id.rpartition("/")[2].casefold()].append(image_id)
        wanted = self._spellings(name)[-1].casefold()
        bare = str(PurePosixPath(wanted).with_suffix("")) if PurePosixPath(wanted).name else wanted
        found = self._folded.get(wanted) or self._folded.get(bare)
        if found is None:
            ends = self._ends.get(bare.rpartition("/")[2], [])
            found = ends[0] if len(ends) == 1 else None
        return f" ({str(self.files[found])!r} is there)" if found else ""

    def missing(self, name: str) -> str:
        """The message for a name in a table that has no image."""
        other = self.other(name)
        if other is not None:
            return f"{str(other)!r} is {_why_left_out(other)}"
        return f"there is no image {name!r} in {self.folder}{self.near(name)}; add it or remove the row"

    def other(self, name: str) -> Path | None:
        """The non-image file that a table names: with its suffix, without, or with an image's suffix."""
        if not self._others:
            for path in self.others:
                own = _normal(path.relative_to(self.folder).as_posix()).casefold()
                self._others.setdefault(own, path)
                if path.suffix.lower() in PICTURES:
                    self._others.setdefault(own.removesuffix(path.suffix.lower()), path)
        for spelling in map(str.casefold, self._spellings(name)):
            bare, _, suffix = spelling.rpartition(".")
            found = self._others.get(spelling) or (self._others.get(bare) if f".{suffix}" in image_suffixes() else None)
            if found is not None:
                return found
        return None

    def unread(self, named: Collection[Path] = ()) -> list[Fault]:
        """Faults for pictures of unsupported formats and broken links, except those in ``named`` (already reported)."""
        return [
            Fault(FaultKind.BROKEN_IMAGE, str(path), f"is {_why_left_out(path)}")
            for path in self.others
            if path not in named and (path.suffix.lower() in PICTURES or _is_broken_link(path))
        ]

    def _spellings(self, name: str) -> list[str]:
        """The keys of ``_names`` that a name may mean, the likeliest first."""
        spellings = []
        for cell in (name, name.strip()):  # an id may begin or end with a space
            spelling = _normal(cell).replace("\\", "/")
            while spelling.startswith("./"):
                spelling = spelling[2:]
            spellings += [spelling, spelling.removeprefix(f"{self.folder.name}/")]
        return spellings


def find_image_files(folder: Path, suffixes: Iterable[str] | None = None) -> ImageFiles:
    """The image files in a folder and its subfolders, without hidden files and files with other suffixes.

    Args:
        folder: where to look.
        suffixes: lower case, with their dot; by default those of all supported formats.
    """
    wanted = frozenset(suffixes or image_suffixes())
    by_id: dict[str, list[Path]] = defaultdict(list)
    faults: list[Fault] = []
    others: list[Path] = []
    for directory in folders_in(folder):
        for entry in _entries(directory):
            path = directory / entry.name
            if not _is_file(entry):
                if entry.is_symlink() and not path.exists():
                    others.append(path)
                continue
            if path.suffix.lower() not in wanted:
                others.append(path)
                continue
            fault = _name_fault(path.relative_to(folder))
            if fault is None:
                by_id[_normal(path.relative_to(folder).with_suffix("").as_posix())].append(path)
            else:
                shown = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
                faults.append(Fault(FaultKind.IMAGE_ID, shown, fault, shown))
    if others:
        log.info("%s: %d files are left out: their suffixes are not of images", folder, len(others))
    files: dict[str, Path] = {}
    for image_id, paths in sorted(by_id.items()):
        detail = _clash(image_id, sorted(paths), by_id)
        if detail is None:
            files[image_id] = paths[0]
        else:
            faults.append(Fault(FaultKind.IMAGE_ID, str(sorted(paths)[0]), detail, image_id))
    return ImageFiles(folder, files, faults, sorted(others))


def folders_in(folder: Path) -> list[Path]:
    """A folder and its subfolders at any depth, sorted, without hidden ones; links are followed once."""
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        directory = waiting.pop()
        try:
            status = directory.stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        found.append(directory)
        waiting += [directory / entry.name for entry in _entries(directory) if _is_folder(entry)]
    return sorted(found)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        log.warning("%s: cannot be read (%s)", directory, error.strerror)
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # such as a link to itself
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _why_left_out(path: Path) -> str:
    """Why a file is not read as an image; in words that follow "is"."""
    if _is_broken_link(path):
        return f"a link that leads nowhere (to {os.readlink(path)!r}); put the file there, or remove the link"
    what = what_it_is(path)
    if what is None:
        what = f"not read, because {path.suffix!r} is no image suffix; rename it, or save it as JPEG or PNG"
    return what


def label_map_clashes(
    image_ids: Iterable[str], suffix: str = ".png", what: str = "label map"
) -> Iterator[tuple[str, str]]:
    """Ids with a folder name that is also the file name of another id's label map: id and what is wrong.

    Args:
        image_ids: all ids.
        suffix: suffix of the files that are named by ids.
        what: what the files are, for the message.
    """
    known = set(image_ids)
    for image_id in known:
        for parent in PurePosixPath(image_id).parents:
            if parent.suffix == suffix and str(parent.with_suffix("")) in known:
                other = str(parent.with_suffix(""))
                yield image_id, f"{image_id!r} is in a folder named like the {what} of {other!r}; rename one of them"


def unwritable_label_maps(image_ids: Iterable[str], results: Path, suffix: str = ".png") -> Iterator[tuple[str, str]]:
    """Ids that cannot be the file name of a label map: id and what is wrong.

    Args:
        image_ids: all ids.
        results: the data set's folder in the results.
        suffix: suffix of the files that are named by ids.
    """
    longest, room = longest_name(results), LONGEST_PATH - bytes_of(results.absolute()) - _BEFORE_AN_ID
    for image_id in image_ids:
        name = max((part for part in (image_id + suffix).split("/")), key=bytes_of)
        manifest = image_id.split("/")[0]
        if bytes_of(name) > longest:
            detail = f"its label map's name would have {bytes_of(name)} bytes; at most {longest} fit: shorten it"
        elif bytes_of(image_id + suffix) > room:
            detail = f"its name and folders have {bytes_of(image_id)} bytes; at most {room} fit: shorten them"
        elif "/" in image_id and _MANIFEST.fullmatch(manifest):
            detail = f"is in the folder {manifest!r}, a name reserved for lists of label maps; rename the folder"
        else:
            continue
        yield image_id, detail


def is_text(name: str) -> bool:
    """Whether a file's name is valid UTF-8; Python replaces invalid bytes with surrogates."""
    return not any(unicodedata.category(character) == "Cs" for character in name)


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _name_fault(name: Path) -> str | None:
    """Why a file's name cannot be an id."""
    text = str(name)
    if any(unicodedata.category(character) == "Cc" for character in text):
        return f"{text!r} has a control character (a line break, ...); rename it"
    if not is_text(text):
        return "the name is not UTF-8 (perhaps from an old archive); rename it, for example with `convmv`"
    if "\\" in text:
        return f"{text!r} has a '\\', which tables use in place of '/'; rename it"
    return None


def _clash(image_id: str, paths: list[Path], by_id: Mapping[str, list[Path]]) -> str | None:
    """Why an id is ambiguous, if it is."""
    if len(paths) > 1:
        names = " and ".join(repr(str(path)) for path in paths)
        return f"{names} have the same id, {image_id!r} (the name without suffix); rename or remove one of them"
    for parent in PurePosixPath(image_id).parents:
        # The other image's label map would have the name of this folder.
        if parent.suffix == ".png" and str(parent.with_suffix("")) in by_id:
            return f"is in a folder named like the label map of {str(parent.with_suffix(''))!r}; rename it"
    return None
