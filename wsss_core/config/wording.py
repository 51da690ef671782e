"""Pydantic's findings in words for people who write YAML."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from wsss_core.config.values_in_words import in_words

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Pattern of a name that folders can have."""
_WANTED = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a number of a sensible size",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path, a text",
    "tuple_type": "must be a list, such as [a, b]",
    "list_type": "must be a list, such as [a, b]",
    "set_type": "must be a list, such as [a, b]",
    "frozen_set_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping of names to values",
    "mapping_type": "must be a mapping of names to values",
    "none_required": "must be null, or left out",
    "too_short": "must have at least {min_length}, and has {actual_length}",
    "too_long": "must have at most {max_length}, and has {actual_length}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
}
"""By the type of pydantic's finding."""


def finding_in_words(finding: Mapping[str, Any]) -> str:
    """One of pydantic's findings about a value, without its key, as a sentence without Python's types.

    Args:
        finding: an entry of ``ValidationError.errors()``.
    """
    kind, value = finding["type"], finding["input"]
    said = (
        re.sub(" after validation, not .*", "", finding["msg"].removeprefix("Input "))
        .replace("Tuple ", "List ")
        .removeprefix("Value error, ")
    )
    wanted = _WANTED[kind].format(**finding.get("ctx", {})) if kind in _WANTED else said
    hint = ""
    if kind == "string_pattern_mismatch":
        wanted, hint = _of_form(finding["ctx"]["pattern"])
    elif kind in ("string_type", "path_type") and isinstance(value, bool | int | float | datetime.date):
        hint = _quotes_needed(value)
    elif kind == "string_type" and value is None and isinstance(finding["loc"][-1], int):
        hint = "; YAML reads null, ~ and nothing as null: put the word in quotes, 'null'"
    elif kind in ("string_type", "path_type") and isinstance(value, list) and len(value) == 1:
        hint = "; leave the brackets out"
    elif kind in ("tuple_type", "list_type") and isinstance(value, Mapping):
        names = [str(key) for key in value]
        hint = f"; as a list of names: [{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}]"
    elif kind in ("tuple_type", "list_type") and isinstance(value, str):
        hint = f"; with one item: [{value}]"
    return f"{wanted}{'' if kind in ('too_short', 'too_long') else f', not {in_words(value)}'}{hint}"


def _of_form(pattern: str) -> tuple[str, str]:
    """What a text must be to match a regular expression, and a hint."""
    if pattern == NAME:
        return "must have only letters, digits, '_', '.' and '-', and begin with a letter or digit", ""
    if not pattern.rstrip(")$").endswith(r"\.safetensors"):
        return _WANTED["string_pattern_mismatch"].format(pattern=pattern), ""
    words = "".join(f"{word}, " for word in pattern.strip("^()$").split("|")[:-1])
    wanted = f"must be {words}{'or ' if words else ''}the path of a .safetensors file"
    return wanted, "; `python -m wsss_core import-weights` makes one of another program's weights"


def _quotes_needed(value: bool | int | float | datetime.date) -> str:
    """Why YAML does not read a word as text, and how to make it text."""
    if isinstance(value, bool):
        words, quoted = ("yes, on and true", "yes") if value else ("no, off and false", "no")
        return f"; YAML reads {words} as {str(value).lower()}: put the word in quotes, '{quoted}'"
    what = "date" if isinstance(value, datetime.date) else "number"
    return f"; YAML reads a {what} here: put it in quotes, '{value}'"
