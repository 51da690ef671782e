"""Texts in pictures, whatever is in them: dollars that begin no formula, and letters that the usual font lacks."""

import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_MOST_TOLD = 12
"""Letters that the log names."""
log = logging.getLogger(__name__)


@contextmanager
def lettering(texts: Iterable[str]) -> Iterator[Callable[[str], str]]:
    """Let matplotlib draw texts as they are in the body, with fonts that are installed here.

    Args:
        texts: all that will be drawn.

    Yields:
        What makes a text one that can be drawn: letters that no font here has become their numbers, ``[U+732B]``; the
        log tells which.
    """
    usual = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    lacking = {letter for text in texts for letter in text} - set(map(chr, usual.get_charmap())) - {"\n"}
    lacking, families = _further_fonts(lacking)
    # Joiners and the like change letters beside them, and are nothing by themselves.
    silent = {letter for letter in lacking if unicodedata.category(letter) in ("Cf", "Mn", "Me", "Cc")}
    if told := sorted(lacking - silent):
        further = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        log.warning(
            "no font that is installed here has the letters %s%s; the picture has their numbers, such as %s. Install a "
            "font of their script (of Chinese, Japanese and Korean on Debian: fonts-noto-cjk)",
            *(" ".join(told[:_MOST_TOLD]), further, _number(told[0])),
        )
    replaced = {ord(letter): "" if letter in silent else _number(letter) for letter in lacking}
    with matplotlib.rc_context(
        {"text.parse_math": False, "font.family": [*matplotlib.rcParams["font.family"], *families]}
    ):
        yield lambda text: text.translate(replaced)


def _further_fonts(lacking: set[str]) -> tuple[set[str], list[str]]:
    """Which of the letters still lack a font, and the families of installed fonts that have the others."""
    families: list[str] = []
    for path in sorted(font_manager.findSystemFonts()) if lacking else ():
        try:
            font = FT2Font(path)
            # Of a font of bitmaps, as those of coloured emoji are, matplotlib draws nothing.
            had = lacking & set(map(chr, font.get_charmap())) if font.scalable else set()
            if had:
                font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):  # a font that is damaged, or of a kind that is not read
            continue
        if had:
            lacking = lacking - had
            families.append(font.family_name)
        if not lacking:
            break
    return lacking, families


def _number(letter: str) -> str:
    return f"[U+{ord(letter):04X}]"
