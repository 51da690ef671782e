"""Archives (.zip) of annotations: what a tool offers for download, or the zipped folder of an export."""

import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from wsss_core.errors import UserError

MOST_BYTES = 1 << 30
"""The most bytes of annotations that are read from an archive."""
DOCUMENTS, MASK = (".json", ".xml"), ".png"
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError)
"""What zipfile raises for archives that are damaged, encrypted, or packed by an unknown method."""


def of_a_system(name: PurePosixPath) -> bool:
    """Whether a file belongs to the operating system: hidden, or added to the archive by a Mac."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.parts)


@contextmanager
def unpacked(path: Path, record: str, masks: str, others: Collection[str]) -> Iterator[tuple[Path, Path]]:
    """A temporary folder with an archive's annotation files, removed when the body ends.

    Args:
        path: the archive.
        record: the name of the file that identifies the folder of an export.
        masks: the name of the export's folder of PNG masks.
        others: names of documents that hold no annotations.

    Yields:
        The folder, and the folder of the export within it (or the same, if there is no export).

    Raises:
        UserError: the archive cannot be read, is too large, or has a name that points outside it.
    """
    with tempfile.TemporaryDirectory(prefix="annotations-") as temporary:
        try:
            with zipfile.ZipFile(path) as archive:
                members = _members(path, archive)
                top = _top(list(members), record)
                wanted = _wanted(list(members), top / masks, others)
                total = sum(members[name].file_size for name in wanted)
                if total > MOST_BYTES:
                    raise UserError(f"{path}: holds {total} bytes of annotations; unpack it, and give the folder")
                for name in wanted:
                    target = Path(temporary) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(members[name]))
        except _DAMAGED as error:
            raise UserError(f"{path}: is no archive that can be read ({error}); make or download it again") from error
        yield Path(temporary), Path(temporary) / top


def _members(path: Path, archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files of an archive that may be annotations."""
    members = {}
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise UserError(
                f"{path}: has a file {member.filename!r}, which points outside it; do not trust the archive"
            )
        if not (member.is_dir() or of_a_system(name)) and name.suffix.lower() in (*DOCUMENTS, MASK):
            members[name] = member
    return members


def _top(names: Sequence[PurePosixPath], record: str) -> PurePosixPath:
    """The folder of the export, if it contains all files."""
    records = sorted((name.parent for name in names if name.name == record), key=lambda parent: len(parent.parts))
    return records[0] if records and all(name.is_relative_to(records[0]) for name in names) else PurePosixPath()


def _wanted(names: Sequence[PurePosixPath], masks: PurePosixPath, others: Collection[str]) -> list[PurePosixPath]:
    """The files to read: documents, or PNG masks if there are none, but not the images next to them."""
    wanted = [name for name in names if name.suffix.lower() in DOCUMENTS]
    if all(name.name in others for name in wanted):
        pictures = [name for name in names if name.suffix.lower() == MASK]
        wanted += [name for name in pictures if name.is_relative_to(masks)] or pictures
    return wanted
