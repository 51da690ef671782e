"""Reads images, masks and saliency maps from files of many kinds into one form."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from wsss_core.errors import UserError

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "PPM")
"""The formats that are read, as Pillow names them. Others may be unsafe: an EPS file is a program that would be run."""
_TURN_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_DEEP_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_BITS = (8, 10, 12, 14, 16)
"""How many bits cameras and microscopes use of a 16-bit pixel."""


def read_image(path: Path | str) -> np.ndarray:
    """Read an image file as RGB.

    Files of ``IMAGE_FORMATS`` are accepted:

    - grey, palette, CMYK and other colour spaces are converted to RGB;
    - transparent pixels are shown over white, as in most viewers and so as annotators see them; the colour of fully
      transparent pixels is arbitrary;
    - grey of more than 8 bits is scaled to 8, not clipped: by the bits that the image uses (8, 10, 12, 14 or 16,
      see :func:`grey_bits`), because a camera's 12 bits in a 16-bit file would be nearly black;
    - 16-bit colours are refused if they use 14 bits or fewer: Pillow keeps only the upper 8 of 16;
    - an image is turned upright according to its EXIF orientation;
    - of an animation, the first frame is taken.

    Args:
        path: the image file; its content counts, not its suffix.

    Returns:
        (H, W, 3) uint8, RGB, 0 to 255, writable.

    Raises:
        UserError: the file is missing, truncated or cannot be decoded, or uses too few of its 16 bits of colour.
    """
    with _open(path, "image") as image:
        return pixels_of(image, path)


def pixels_of(image: Image.Image, path: Path | str = "the image") -> np.ndarray:
    """As :func:`read_image`, for an image that Pillow has opened or made.

    Args:
        image: of any mode; not changed. If its pixels are already loaded, 16-bit colours are not recognised.
        path: what errors call the image.

    Raises:
        UserError: as :func:`read_image`.
    """
    with _decoding(path, "image"):
        deep_colours = _has_deep_colours(image)
        image.load()
        # Only now: loading a TIFF file turns it upright and removes the orientation.
        turn = _TURN_UPRIGHT.get(_orientation(image))
        if image.mode in _DEEP_GREY:
            values = _deep_grey(image, path)
            most = 2 ** _bits_of(values) - 1
            image = Image.fromarray(((values * 255 + most // 2) // most).astype(np.uint8))
        elif deep_colours and 0 < _brightest(image) < 64:
            raise _unreadable(
                path,
                f"has 16-bit colours of which only the lower bits are used (up to {256 * _brightest(image) + 255} of "
                "65535, as from a 12-bit or 14-bit camera): it would be dark. Stretch them, and save it as 8-bit PNG",
            )
        elif image.mode == "F":
            raise _unreadable(path, "has floating-point pixels; save it as 8-bit JPEG or PNG")
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        if image.mode != "RGB":
            image = image.convert("RGB")
        if turn is not None:
            image = image.transpose(turn)
        return np.array(image)


def grey_bits(path: Path | str) -> int | None:
    """How many bits an image's grey values use (8, 10, 12, 14 or 16); None for an image with 8-bit values.

    Raises:
        UserError: as :func:`read_image`.
    """
    with _open(path, "image") as image:
        return _bits_of(_deep_grey(image, path)) if image.mode in _DEEP_GREY else None


def has_16_bits(path: Path | str) -> bool:
    """Whether a file has more than 8 bits for each grey value or colour; networks see only 8.

    Raises:
        UserError: as :func:`read_image`.
    """
    with _open(path, "image") as image:
        return image.mode in _DEEP_GREY or _has_deep_colours(image)


def read_indexed_image(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """As :func:`read_image`, for an image of a known height and width.

    Raises:
        UserError: as :func:`read_image`, or the image has another size.
    """
    image = read_image(path)
    if image.shape[:2] != size:
        found, indexed = (f"{height} x {width}" for height, width in (image.shape[:2], size))
        raise UserError(
            f"{path}: the image is {found} pixels, but was {indexed} when the data set was indexed; it has changed "
            "since then, so make the index again"
        )
    return image


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask file: a class number for every pixel.

    The numbers are taken as stored. An EXIF orientation is not applied, because a mask belongs to the upright image.

    Args:
        path: a PNG file with a palette (the palette's index is the class) or with 8-bit or 16-bit grey.

    Returns:
        (H, W) uint8, or uint16 for 16-bit grey, writable; ``label_values`` says what they mean.

    Raises:
        UserError: the file is missing, truncated, cannot be decoded, or does not hold one number for each pixel.
    """
    wanted = (
        "a mask is a PNG with a palette or 8-bit grey (16-bit for over 254 classes), where a pixel's value is its class"
    )
    values = _read_png(path, "mask", wanted, lambda image: image.mode == "P" or _stored(image) in ("L", *_DEEP_GREY))
    return values if values.dtype == np.uint8 else values.astype(np.uint16)


def read_saliency_map(path: Path | str) -> np.ndarray:
    """Read the saliency of each pixel of an image; an EXIF orientation is not applied, as with masks.

    Args:
        path: a PNG file with 8-bit grey.

    Returns:
        (H, W) uint8, from 0 (background) to 255 (salient), writable.

    Raises:
        UserError: the file is missing, truncated, cannot be decoded, or is of another kind.
    """
    wanted = "a saliency map is a PNG with 8-bit grey, from 0 (background) to 255 (salient)"
    return _read_png(path, "saliency map", wanted, lambda image: _stored(image) == "L")


def _read_png(path: Path | str, what: str, wanted: str, fits: Callable[[Image.Image], bool]) -> np.ndarray:
    """The pixels as stored in a PNG file: other formats, such as JPEG, change values, which are no colours here."""
    with _open(path, what) as image, _decoding(path, what):
        if image.format != "PNG":
            raise _unreadable(path, f"is a {image.format} file; {wanted}")
        if not fits(image):
            raise _unreadable(path, f"has pixels of kind {_stored(image)}; {wanted}")
        return np.array(image)


def _stored(image: Image.Image) -> str:
    """The kind of pixels as stored: Pillow stretches grey of 2 and 4 bits to 0..255, and its mode for that is ``L``."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0][3] if tiles else image.mode)


def image_size(path: Path | str) -> tuple[int, int]:
    """Height and width of the upright image, if possible without decoding the pixels.

    Raises:
        UserError: the file is missing or its header cannot be read.
    """
    with _open(path, "image") as image:
        width, height = image.size
        # For a TIFF file, Pillow gives the size of the upright image.
        sideways = image.format != "TIFF" and _orientation(image) in _SIDEWAYS
    return (width, height) if sideways else (height, width)


@contextmanager
def _decoding(path: Path | str, what: str) -> Iterator[None]:
    """Turn a decoder's error into one that says what is wrong with the file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly every type there is
        raise _damaged(path, what, error) from error


def _damaged(path: Path | str, what: str, error: Exception) -> UserError:
    if isinstance(error, Image.UnidentifiedImageError):
        from wsss_core.datasets.unreadable_images import why_unidentified  # which few jobs need

        return _unreadable(path, why_unidentified(path, what))
    if isinstance(error, Image.DecompressionBombError):
        return _unreadable(path, f"has too many pixels; make the {what} smaller ({error})")
    reason = f"is truncated or damaged ({str(error) or type(error).__name__})"
    return _unreadable(path, f"{reason}; copy or download it again, or remove it from the list")


def _unreadable(path: Path | str, reason: str) -> UserError:
    return UserError(f"{path}: {reason}")


def _open(path: Path | str, what: str) -> Image.Image:
    try:
        return Image.open(path, formats=_formats())
    except FileNotFoundError as error:
        raise _unreadable(path, f"there is no such {what} file") from error
    except (IsADirectoryError, PermissionError) as error:
        raise _unreadable(path, f"cannot be opened as {what} file ({error.strerror})") from error
    except Exception as error:  # as in _decoding
        raise _damaged(path, what, error) from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``IMAGE_FORMATS`` that this build of Pillow supports."""
    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)


@cache
def image_suffixes() -> frozenset[str]:
    """Suffixes, lower case with their dot, of the files that are read."""
    kinds = {*_formats(), "MPO"}  # MPO: two JPEG images in one file
    return frozenset(suffix.lower() for suffix, kind in Image.registered_extensions().items() if kind in kinds)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 if there is none or it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block does not make the pixels any worse
        return 1


def _deep_grey(image: Image.Image, path: Path | str) -> np.ndarray:
    """Grey values of more than 8 bits, int64 (H, W), 0 to 65535."""
    with _decoding(path, "image"):
        values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise _unreadable(path, "has grey values outside 0..65535; save it as 8-bit JPEG or PNG")
    return values


def _bits_of(values: np.ndarray) -> int:
    """The smallest of ``_BITS`` that the values, up to 65535, fit in."""
    return next(bits for bits in _BITS if values.max() < 2**bits)


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether an image that is not yet loaded has 16-bit colours, of which Pillow keeps 8."""
    settings = [tile[3] for tile in getattr(image, "tile", ())]
    stored = [setting[0] if isinstance(setting, tuple) and setting else setting for setting in settings]
    return any(";16" in str(kind) for kind in stored) and image.mode not in _DEEP_GREY


def _brightest(image: Image.Image) -> int:
    """The largest value of any colour, 0 to 255, without transparency."""
    colours = image.convert("L") if image.mode in ("L", "LA") else image.convert("RGB")
    return int(np.asarray(colours).max())
