"""Lists of image ids, one a line."""

from pathlib import Path

from wsss_core.errors import UserError


def read_subset(path: Path) -> list[str]:
    """The ids that a text file lists, each once, in its order; empty lines do not count.

    Raises:
        UserError: the file is missing, no text, or names no image.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors mark UTF-8 at the beginning
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; it lists image ids, one a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the list of images cannot be read ({error})") from None
    listed = list(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not listed:
        raise UserError(f"{path}: the list names no image; it holds one id a line")
    return listed
