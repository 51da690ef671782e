"""Whether a file of texts' features is of the texts that settings ask for; without torch, as planning asks for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KIND = "text features"
"""What a file's description calls them."""
HOW_TO_MAKE = "`python -m wsss_core text-features` makes one of the settings' texts (docs/methods/clipes.md)"


def other_texts(
    path: Path | str, description: Mapping[str, Any], texts: Sequence[str], background_texts: Sequence[str]
) -> str | None:
    """A sentence if a file's description is not of these texts; None if it is.

    Args:
        path: the file.
        description: what it says of itself.
        texts: those of the classes, in their order.
        background_texts: those of the background.
    """
    if description.get("kind") != KIND:
        return f"{path}: holds {description.get('kind', 'an unknown network')}, not {KIND}; {HOW_TO_MAKE}"
    for key, wanted in (("texts", list(texts)), ("background_texts", list(background_texts))):
        given = description.get(key)
        if given == wanted:
            continue
        of = "classes" if key == "texts" else "background"
        pairs = zip(given, wanted, strict=False) if isinstance(given, list) else ()
        for one, other in pairs:
            if one != other:
                return f"{path}: is of the {of}' text '{one}' where the settings ask for '{other}'; {HOW_TO_MAKE}"
        number = len(given) if isinstance(given, list) else 0
        return f"{path}: has {number} texts of the {of}; the settings ask for {len(wanted)}; {HOW_TO_MAKE}"
    return None
