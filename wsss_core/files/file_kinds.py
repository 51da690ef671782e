"""What an unreadable file is, by its first bytes, for messages."""

import re
from dataclasses import dataclass
from pathlib import Path

FETCH_AGAIN = "copy or download it again"


@dataclass(frozen=True)
class FileKind:
    """What a file is."""

    what: str
    """In words that follow "is", such as ``a HEIC image``."""
    advice: str | None = None
    """What to do; None if that depends on the expected kind of file."""


_ZEROS = "filled with zeros, as when a copy or download broke off"
_LFS = "a pointer of Git LFS, not the file itself"
_ANNEX = "a pointer of git-annex, not the file itself"
_WEB = "a web page (HTML), as a site sends it instead of a file"
_ZIP = "a ZIP archive"
_STAND_INS = (_ZEROS, _LFS, _ANNEX, _WEB)
_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\x89PNG\r\n", "a PNG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (0, b"II*\0\x10\0\0\0CR", "a raw photograph (Canon's CR2)"),
    (0, b"FUJIFILMCCD-RAW", "a raw photograph (Fujifilm's RAF)"),
    (0, b"IIRO", "a raw photograph (Olympus's ORF)"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (0, b"II+\0", "a BigTIFF image"),
    (0, b"MM\0+", "a BigTIFF image"),
    (0, b"%!PS", "a drawing in PostScript (EPS)"),
    (0, b"\xc5\xd0\xd3\xc6", "a drawing in PostScript (EPS)"),
    (0, b"%PDF", "a PDF document"),
    (0, b"8BPS", "a Photoshop file (PSD)"),
    (0, b"gimp xcf", "a GIMP file (XCF)"),
    (0, b"v/1\x01", "an OpenEXR image"),
    (0, b"#?RADIANCE", "a Radiance HDR image"),
    (0, b"qoif", "a QOI image"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"\0\0\1\0", "a Windows icon"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (0, b"SIMPLE  =", "a FITS image"),
    (128, b"DICM", "a DICOM file"),
    (344, b"n+1\0", "a NIfTI volume"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF\r\n", "an HDF5 file"),
    (0, b"CDF\1", "a NetCDF file"),
    (0, b"MATLAB 5.0", "a MATLAB file"),
    (0, b"PK\x03\x04", _ZIP),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (257, b"ustar", "a tar archive"),
    (8, b"AVI ", "a video (AVI)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"\0\0\1\xba", "a video (MPEG)"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)
"""Position in the file, bytes there, and the kind of file; the first match counts."""
_BOXES = {
    "a HEIC image, as telephones save them": "heic heix heim heis hevc hevx hevm hevs mif1 msf1",
    "an AVIF image": "avif avis",
    "a raw photograph (Canon's CR3)": "crx",
    "a video (MP4 or QuickTime)": "isom iso2 iso4 iso5 iso6 mp41 mp42 avc1 qt M4V M4VP MSNV 3gp4 3gp5 dash",
}
"""Kinds of files that begin with a box ``ftyp``, and the brands in it."""
_MARKUP = re.compile(r"(?:<!--.*?-->|<\?xml.*?\?>|<!doctype svg.*?>|\s)*<(!?\w+)[\s>]?(\w*)", re.DOTALL | re.IGNORECASE)
_WEB_PAGE = ("html", "head", "body", "script", "title", "meta", "div", "!doctype")
_READ = 4096


def file_kind(path: Path | str) -> FileKind | None:
    """What a file is, by its first bytes; None if they do not say, or it cannot be opened."""
    try:
        with open(path, "rb") as file:
            start = file.read(_READ)
    except (OSError, ValueError):
        return None
    if not start:
        return FileKind("empty", FETCH_AGAIN)
    if not any(start):
        return FileKind(_ZEROS, FETCH_AGAIN)
    for at, beginning, what in _BEGINNINGS:
        # A text may begin with the same two letters.
        if start[at : at + len(beginning)] == beginning and (len(beginning) > 2 or b"\0" in start):
            return FileKind(what)
    if start[4:8] == b"ftyp":
        brand = start[8:12].decode("latin-1").strip()
        of_brand = (what for what, brands in _BOXES.items() if brand in brands.split())
        return FileKind(next(of_brand, f"a video or photograph of the kind {brand!r}"))
    return _kind_of_text(start)


def stand_in(path: Path | str) -> str | None:
    """What there is instead of the real file, and what to do, in words that begin with "is"; None for other files."""
    kind = file_kind(path)
    return f"is {kind.what}; {kind.advice}" if kind is not None and kind.what in _STAND_INS else None


def no_weights(path: Path | str) -> str | None:
    """What a file that cannot be read as weights is, and what to do, in words that follow "is".

    None if it may still be damaged weights: files of torch.save are ZIP archives.
    """
    kind = file_kind(path)
    if kind is None or kind.what == _ZIP:
        return None
    return f"{kind.what}; {kind.advice or 'expected a .safetensors file, or one of torch.save to import'}"


def _kind_of_text(start: bytes) -> FileKind | None:
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(start) < _READ or error.start < _READ - 4:  # the last character may be cut
            return None
        text = start[: error.start].decode("utf-8-sig")
    if text.startswith("version https://git-lfs"):
        return FileKind(_LFS, "fetch the file with `git lfs pull` in its repository")
    if re.match(r"(\.\./)*(\.git)?/?annex/objects/", text):
        return FileKind(_ANNEX, "fetch the file with `git annex get`")
    if (markup := _MARKUP.match(text)) is not None:
        names = [name.lower() for name in markup.groups()]
        if names[0] == "svg":
            return FileKind("a drawing in SVG")
        if names[0] in _WEB_PAGE:
            return FileKind(_WEB, FETCH_AGAIN)
        return FileKind(f"XML (<{markup[1]}>)", None if names[0] == "annotation" else FETCH_AGAIN)
    if any(ord(character) < 32 and character not in "\t\n\r\f" for character in text):
        return None
    return FileKind(f"text that begins with {' '.join(text.split())[:40]!r}", FETCH_AGAIN)
