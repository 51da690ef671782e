"""A value of a configuration in a message: as YAML writes it, and never longer than a line."""

from collections.abc import Mapping
from datetime import date
from typing import Any

LONGEST = 80
"""Characters of a value that a message shows."""
_WORDS = {None: "null", True: "true", False: "false"}


def in_words(value: Any) -> str:
    """A value as YAML writes it, with text in quotes; cut after ``LONGEST`` characters."""
    words = _words(value, LONGEST)
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 4]} ..."


def _words(value: Any, longest: int) -> str:
    if longest <= 0:
        return "..."
    if isinstance(value, Mapping):
        return "{" + _joined((f"{_words(k, 30)}: {_words(v, longest // 2)}" for k, v in value.items()), longest) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + _joined((_words(item, longest // 2) for item in value), longest) + "]"
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, str):
        return repr(value[:longest] + "..." if len(value) > longest else value)
    if isinstance(value, int) and value.bit_length() > 300:  # Python refuses to write very large ones
        return f"{'-' if value < 0 else ''}10^{value.bit_length() * 3 // 10} or so"
    return value.isoformat() if isinstance(value, date) else repr(value)


def _joined(parts: Any, longest: int) -> str:
    """As many of the parts as fit, so that a block that contains itself has an end."""
    words = ""
    for part in parts:
        words += f", {part}" if words else part
        if len(words) > longest:
            break
    return words
