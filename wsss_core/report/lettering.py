"""Any text in pictures: with dollar signs that begin no formula, and letters that the usual font lacks."""

import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_MOST_NAMED = 12
"""Most letters that the log names."""
log = logging.getLogger(__name__)


@contextmanager
def lettering(texts: Iterable[str]) -> Iterator[Callable[[str], str]]:
    """Within this context, let matplotlib draw texts as they are, with fonts that are installed here.

    Args:
        texts: all that will be drawn.

    Yields:
        A function that makes a text drawable: it replaces letters that no installed font has by their numbers,
        ``[U+732B]``. The log says which ones.
    """
    usual = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    lacking = {letter for text in texts for letter in text} - set(map(chr, usual.get_charmap())) - {"\n"}
    lacking, families = _further_fonts(lacking)
    # Joiners and the like change the letters next to them, and show nothing themselves.
    silent = {letter for letter in lacking if unicodedata.category(letter) in ("Cf", "Mn", "Me", "Cc")}
    if unknown := sorted(lacking - silent):
        further = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        log.warning(
            "no installed font has the letters %s%s; the picture shows their numbers, such as %s. Install a font of "
            "their script (for Chinese, Japanese and Korean on Debian: fonts-noto-cjk)",
            *(" ".join(unknown[:_MOST_NAMED]), further, _number(unknown[0])),
        )
    replaced = {ord(letter): "" if letter in silent else _number(letter) for letter in lacking}
    with matplotlib.rc_context(
        {"text.parse_math": False, "font.family": [*matplotlib.rcParams["font.family"], *families]}
    ):
        yield lambda text: text.translate(replaced)


def _further_fonts(lacking: set[str]) -> tuple[set[str], list[str]]:
    """The letters that still lack a font, and the families of installed fonts that have the others."""
    families: list[str] = []
    for path in sorted(font_manager.findSystemFonts()) if lacking else ():
        try:
            font = FT2Font(path)
            # Matplotlib cannot draw fonts of bitmaps, such as those of coloured emoji.
            had = lacking & set(map(chr, font.get_charmap())) if font.scalable else set()
            if had:
                font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):  # a damaged font, or one of an unknown kind
            continue
        if had:
            lacking = lacking - had
            families.append(font.family_name)
        if not lacking:
            break
    return lacking, families


def _number(letter: str) -> str:
    return f"[U+{ord(letter):04X}]"
