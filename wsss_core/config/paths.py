"""Paths in the configuration: ``~`` is the home folder; a path that no file can have is refused."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from wsss_core.files.names import LONGEST_NAME, LONGEST_PATH, bytes_of

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})(/|$)")
"""How people write a variable of the shell at a path's beginning."""


def written_out(path: Any) -> Any:
    """A path with the home folder in place of ``~`` (or ``~name``); values of other types unchanged.

    Raises:
        ValueError: there is no such home folder, or no file could have this path.
    """
    if not isinstance(path, str | Path):
        return path
    text = os.fspath(path)
    if not text.strip():
        raise ValueError("must be a path, not empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError(f"{text!r} has a control character, which no path may have")
    if variable := _VARIABLE.match(text):
        raise ValueError(f"{text}: ${variable[1]} is not replaced here; write the path out, or begin it with ~")
    if "{" in text or "}" in text:
        raise ValueError(f"{text} has braces, which Snakemake takes for wildcards; rename the folder or file")
    if "://" in text:
        raise ValueError(f"{text} is an address; give a folder or file of this machine")
    if os.path.normpath(text).startswith("-"):
        raise ValueError(
            f"{text} begins with '-', which programs take for an option; rename it, or give its whole path"
        )
    expanded = os.path.expanduser(text)
    if text.startswith("~") and expanded == text:
        home = text.partition("/")[0]
        raise ValueError(
            f"{text}: {home} is no known home folder; write the path out (./{home} if it is a folder's name)"
        )
    if max(map(bytes_of, expanded.split("/"))) > LONGEST_NAME or bytes_of(expanded) > LONGEST_PATH:
        raise ValueError(
            f"{text[:60]}... is longer than a path may be: {LONGEST_NAME} bytes a name, {LONGEST_PATH} in all"
        )
    return type(path)(expanded)


Folder = Annotated[Path, BeforeValidator(written_out)]
"""The path of a folder."""
File = Annotated[str, Field(min_length=1), BeforeValidator(written_out)]
"""The path of a file; a text, because it is part of identities."""
WeightsFile = Annotated[str, Field(pattern=r"\.safetensors$"), BeforeValidator(written_out)]
"""The path of a network's weights."""
