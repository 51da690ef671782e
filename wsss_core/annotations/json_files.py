"""Reading JSON that a tool or a person has written."""

import json
from pathlib import Path
from typing import Any

from wsss_core.errors import UserError


def parsed(path: Path, content: bytes) -> Any:
    """The value of a JSON file.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON ({error}); export it again") from error


def required(path: Path, where: str, entry: Any, key: str) -> Any:
    """An entry's value.

    Raises:
        UserError: it is missing, or the entry is none.
    """
    if not isinstance(entry, dict) or key not in entry:
        raise UserError(f"{path}: an entry of '{where}' has no '{key}'; export it again, in the same format")
    return entry[key]
