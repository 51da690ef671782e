"""Checks that a file of text features was made from the settings' texts; without torch, as planning does this."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KIND = "text features"
"""Their kind in a file's description."""
HOW_TO_MAKE = "`python -m wsss_core text-features` makes one of the settings' texts (docs/methods/clipes.md)"


def other_texts(
    path: Path | str, description: Mapping[str, Any], texts: Sequence[str], background_texts: Sequence[str]
) -> str | None:
    """A sentence if a file was not made from these texts; None if it was.

    Args:
        path: the file.
        description: the file's description.
        texts: the classes' texts, in their order.
        background_texts: the background's texts.
    """
    if description.get("kind") != KIND:
        return f"{path}: holds {description.get('kind', 'an unknown network')}, not {KIND}; {HOW_TO_MAKE}"
    for key, wanted in (("texts", list(texts)), ("background_texts", list(background_texts))):
        given = description.get(key)
        if given == wanted:
            continue
        kind = "class" if key == "texts" else "background"
        pairs = zip(given, wanted, strict=False) if isinstance(given, list) else ()
        for one, other in pairs:
            if one != other:
                return f"{path}: has the {kind} text '{one}' where the settings have '{other}'; {HOW_TO_MAKE}"
        number = len(given) if isinstance(given, list) else 0
        return f"{path}: has {number} {kind} texts; the settings have {len(wanted)}; {HOW_TO_MAKE}"
    return None
