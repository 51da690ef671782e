"""Files of one's own that add an objective or a CAM method, without a change to the package."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from wsss_core.config.parameters import Parameters
from wsss_core.config.root import SECTIONS
from wsss_core.errors import UserError

Kind = TypeVar("Kind", bound=Parameters)
_loaded: dict[str, str] = {}
"""By file, the digest of what was loaded from it."""


def register(section: str) -> Callable[[type[Kind]], type[Kind]]:
    """Class decorator: make a settings class one of the kinds of variants of a section.

    Args:
        section: ``classifiers`` or ``cams``; the class has to be derived from ``Classifier`` or ``Cams`` and to say
            ``objective: Literal["name"] = "name"``, or ``method``.
    """

    def add(kind: type[Kind]) -> type[Kind]:
        kinds = SECTIONS[section]
        assert kinds.kind_key is not None
        kinds.kinds[kind.model_fields[kinds.kind_key].default] = kind
        return kind

    return add


def load_extension(file: str) -> None:
    """Run a file that registers settings, objectives and CAM methods; once in a process.

    Raises:
        UserError: the file is missing, or fails.
    """
    path = Path(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: the extension cannot be read ({error.strerror})") from None
    digest = hashlib.sha256(content).hexdigest()
    if _loaded.get(file) == digest:
        return
    name = f"wsss_extension_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:10]}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UserError(f"{file}: an extension is a Python file, with the ending .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # pydantic looks annotations up there
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{file}: the extension fails: {type(error).__name__}: {error}") from error
    for section in SECTIONS.values():
        for kind in section.kinds.values():
            if kind.__module__ == name:
                _SOURCES[kind] = {"file": file, "sha256": digest}
    _loaded[file] = digest


_SOURCES: dict[type[Parameters], dict[str, str]] = {}


def source_of(settings: Parameters) -> Mapping[str, str] | None:
    """File and digest of the extension that a variant's kind comes from; None for the package's own.

    Part of the identity of what is made with it: a changed extension makes its artifacts anew.
    """
    return _SOURCES.get(type(settings))


def load_source(parameters: Mapping[str, Any]) -> None:
    """Load the extension, if any, that an artifact's parameters name.

    Raises:
        UserError: it is gone, fails, or has changed since the workflow was planned.
    """
    source = parameters.get("extension")
    if source is None:
        return
    load_extension(source["file"])
    if _loaded[source["file"]] != source["sha256"]:
        raise UserError(f"{source['file']}: the extension has changed since the workflow started; start it again")
