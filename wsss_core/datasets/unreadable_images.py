"""What a file is that is not read as an image, and what to do, for messages."""

from pathlib import Path

from wsss_core.files.file_kinds import file_kind

IN_WORDS = "JPEG, PNG, WebP, TIFF, BMP, GIF, JPEG 2000, AVIF or PPM"
"""The formats that are read (``images.IMAGE_FORMATS``)."""
_READ_KINDS = {
    *("a JPEG image", "a PNG image", "a WebP image", "a TIFF image", "a BigTIFF image", "a BMP image", "a GIF image"),
    *("a JPEG 2000 image", "an AVIF image"),
}
_REMEDIES = {"mask": "a mask is a PNG file", "saliency map": "a saliency map is a PNG file"}


def what_it_is(path: Path | str, what: str = "image") -> str | None:
    """What a file is, and what to do, if it is of no format that is read; in words that follow "is"."""
    kind = file_kind(path)
    if kind is None or kind.what in _READ_KINDS:
        return None
    if kind.advice is not None:
        return f"{kind.what}; {kind.advice}"
    return f"{kind.what}, which is not read; {_REMEDIES.get(what, 'save it as JPEG or PNG')}"


def why_unidentified(path: Path | str, what: str) -> str:
    """Why Pillow does not know what a file is, and what to do, in words that follow its path.

    Args:
        path: the file.
        what: what it should be: ``image``, ``mask`` or ``saliency map``.
    """
    if (known := what_it_is(path, what)) is not None:
        return f"is {known}"
    if (kind := file_kind(path)) is not None:
        reason = f"begins as {kind.what}, but is damaged or of a kind that Pillow cannot decode"
        return f"{reason}; copy or download it again, or save it as 8-bit JPEG or PNG"
    return f"is of no format that is read ({IN_WORDS}); copy or download it again, or remove it from the list"
