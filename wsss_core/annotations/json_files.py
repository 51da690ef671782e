"""Reads JSON that a tool or a person has written."""

import json
from pathlib import Path
from typing import Any

from wsss_core.errors import UserError


def parsed(path: Path, content: bytes) -> Any:
    """The value of a JSON file.

    Raises:
        UserError: it is not JSON.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON ({error}); export it again") from error


def required(path: Path, where: str, entry: Any, key: str) -> Any:
    """An entry's value.

    Raises:
        UserError: it is missing, or the entry is not an object.
    """
    if not isinstance(entry, dict) or key not in entry:
        raise UserError(f"{path}: an entry of '{where}' has no '{key}'; export it again, in the same format")
    return entry[key]


def required_text(path: Path, where: str, entry: Any, key: str) -> str:
    """As :func:`required`, for a text.

    Raises:
        UserError: it is missing, or not text.
    """
    value = required(path, where, entry, key)
    if not isinstance(value, str):
        raise UserError(f"{path}: an entry of '{where}' has the '{key}' {_short(value)}; it has to be text, in quotes")
    return value


def required_id(path: Path, where: str, entry: Any, key: str) -> int | str:
    """As :func:`required`, for an id.

    Raises:
        UserError: it is missing, or neither a whole number nor text.
    """
    value = required(path, where, entry, key)
    if not isinstance(value, (int, str)):
        raise UserError(f"{path}: an entry of '{where}' has the '{key}' {_short(value)}; it has to be a number or text")
    return value


def entries_of(path: Path, where: str, entry: Any, key: str) -> list[Any]:
    """The list under a key of an entry; an empty one if the key is missing.

    Raises:
        UserError: it is not a list.
    """
    value = entry.get(key)
    if value is not None and not isinstance(value, list):
        raise UserError(f"{path}: the '{key}' of {where} are {_short(value)}; they have to be a list")
    return value or []


def _short(value: Any) -> str:
    return json.dumps(value)[:60]
