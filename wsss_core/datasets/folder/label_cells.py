"""Reads the labels in a cell of a table."""

import ast
import json
import re
from functools import lru_cache
from typing import Any

_SEVERAL = re.compile("[;|]")
_LIST = re.compile(r"\[.*\]|\{.*\}|\(\s*['\"].*\)|\".*\"", re.DOTALL)
_QUOTES_APART = re.compile(r"(['\"])\s+(['\"])")
"""Between two strings of NumPy's lists, which have no commas; Python would join them."""
_LISTING_KEY = re.compile(r"choices|label|\w*labels", re.IGNORECASE)
"""Label Studio's key for the labels of an answer, or of a region (``rectanglelabels``)."""
_SHOWN = 80


@lru_cache(maxsize=4096)
def labels_in(cell: str) -> frozenset[str]:
    """The labels in a cell: separated by ``;`` or ``|``, as a JSON or Python list, or in Label Studio's form.

    Args:
        cell: the text, without spaces around it.

    Raises:
        ValueError: it looks like a list, but not of labels.
    """
    names = _texts(_parsed(cell), cell) if _LIST.fullmatch(cell) else _SEVERAL.split(cell)
    return frozenset(filter(None, map(str.strip, names)))


def _parsed(cell: str) -> Any:
    for read, text in ((json.loads, cell), (ast.literal_eval, _QUOTES_APART.sub(r"\1, \2", cell))):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    if cell[0] == "[" and not re.search(r"['\"\[\]{}]", cell[1:-1]):
        return cell[1:-1].split(",")  # [cat, dog], without quotes
    raise ValueError(_no_labels(cell))


def _texts(value: Any, cell: str) -> list[str]:
    """The labels in the parsed value of a cell."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple | set):
        if len(value) > 1 and all(isinstance(one, int | float) and one in (0, 1) for one in value):
            raise ValueError(f"has {_short(cell)}, a 1 or 0 for each class; name the classes, or give each a column")
        return [text for one in value for text in _texts(one, cell)]
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if isinstance(value, dict):
        keys = [key for key in value if isinstance(key, str) and _LISTING_KEY.fullmatch(key)]
        if len(keys) == 1:
            return _texts(value[keys[0]], cell)
        if not keys and isinstance(value.get("value"), dict):  # a region of Label Studio's
            return _texts(value["value"], cell)
    raise ValueError(_no_labels(cell))


def _no_labels(cell: str) -> str:
    return (
        f"has {_short(cell)}, which looks like a list and is none of labels; expected labels with ';' between them, "
        '["cat", "dog"], or Label Studio\'s {"choices": ["cat", "dog"]}'
    )


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}...")
