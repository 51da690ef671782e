"""Reading images and masks from files: whatever a file holds comes out in one form."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from wsss_core.errors import UserError

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


def read_image(path: Path | str) -> np.ndarray:
    """Read an image file as colours.

    Every kind of file that Pillow decodes is accepted:

    - grey, palette, CMYK and other colour spaces are converted to RGB;
    - transparent pixels are laid over white, as most viewers show them; what colour lies below
      full transparency is arbitrary, and nobody who labelled the image has seen it;
    - 16-bit grey is scaled to 8 bits (65535 becomes 255), not clipped;
    - an image whose EXIF block says that the camera was turned is turned upright;
    - of an animation the first frame is taken.

    Args:
        path: the image file; its content counts, not its suffix.

    Returns:
        (H, W, 3) uint8, RGB, 0 to 255, writable.

    Raises:
        UserError: the file is missing, truncated or cannot be decoded.
    """
    image = _open(path, "image")
    try:
        image.load()
        # Only now: loading a TIFF file turns it upright and takes the orientation away.
        turn = _TURN_UPRIGHT.get(_orientation(image))
        if image.mode in _DEEP_GREY:
            image = _grey_of_16_bits(image, path)
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
    except UserError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly every type there is
        raise _damaged(path, "image", error) from error
    finally:
        image.close()


def read_indexed_image(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """As :func:`read_image`, of an image whose height and width are known.

    Raises:
        UserError: as :func:`read_image`, or it has another size.
    """
    image = read_image(path)
    if image.shape[:2] != size:
        found, indexed = (f"{height} x {width}" for height, width in (image.shape[:2], size))
        raise UserError(
            f"{path}: the image is {found} pixels, and was {indexed} when the data set was indexed; it has changed "
            "since, so make the index again"
        )
    return image


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask file: the number of a class in every pixel.

    The numbers are taken as they are stored; an EXIF orientation is not applied, for a mask
    belongs to the upright image.

    Args:
        path: a PNG file with a palette (the palette's index is the class) or with 8-bit or 16-bit grey.

    Returns:
        (H, W) uint8, or uint16 of 16-bit grey, writable; ``label_values`` says what they mean.

    Raises:
        UserError: the file is missing, truncated, cannot be decoded, or holds something else
            than one number a pixel.
    """
    wanted = (
        "a mask is a PNG with a palette or 8-bit grey (16-bit for over 254 classes), where a pixel's value is its class"
    )
    with _open(path, "mask") as image:
        try:
            # JPEG and the like change pixel values, which here are class numbers.
            if image.format != "PNG":
                raise _unreadable(path, f"is a {image.format} file; {wanted}")
            # Pillow stretches grey of 2 and 4 bits to 0..255, which changes the classes.
            tiles = getattr(image, "tile", None)
            stored = tiles[0][3] if tiles else image.mode
            if stored in _DEEP_GREY:
                return np.array(image).astype(np.uint16)
            if image.mode != "P" and stored != "L":
                raise _unreadable(path, f"has pixels of kind {stored}; {wanted}")
            return np.array(image)
        except UserError:
            raise
        except Exception as error:  # as in read_image
            raise _damaged(path, "mask", error) from error


def image_size(path: Path | str) -> tuple[int, int]:
    """Height and width of the upright image, without decoding the pixels where that is possible.

    Raises:
        UserError: the file is missing or its header cannot be read.
    """
    with _open(path, "image") as image:
        width, height = image.size
        # Pillow gives a TIFF file's size as it is after turning.
        sideways = image.format != "TIFF" and _orientation(image) in _SIDEWAYS
    return (width, height) if sideways else (height, width)


def _open(path: Path | str, what: str) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise _unreadable(path, f"there is no such {what} file") from error
    except (IsADirectoryError, PermissionError) as error:
        raise _unreadable(path, f"cannot be opened as {what} file ({error.strerror})") from error
    except Exception as error:  # as in read_image
        raise _damaged(path, what, error) from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where there is none or none that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block does not make the pixels any worse
        return 1


def _grey_of_16_bits(image: Image.Image, path: Path | str) -> Image.Image:
    """Scale 0..65535 to 0..255, rounded to nearest."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise _unreadable(path, "has grey values outside 0..65535; save it as 8-bit JPEG or PNG")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _damaged(path: Path | str, what: str, error: Exception) -> UserError:
    if isinstance(error, Image.UnidentifiedImageError):
        reason = "is empty or of no format that Pillow knows"
    elif isinstance(error, Image.DecompressionBombError):
        reason = f"has too many pixels; make the {what} smaller ({error})"
        return _unreadable(path, reason)
    else:
        reason = f"is truncated or damaged ({str(error) or type(error).__name__})"
    return _unreadable(path, f"{reason}; copy or download it again, or take it off the list")


def _unreadable(path: Path | str, reason: str) -> UserError:
    return UserError(f"{path}: {reason}")
