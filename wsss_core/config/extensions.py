"""Users' files that add a trunk, an objective, a CAM method or an affinity, without a change to the package."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from wsss_core.config.networks import is_of_the_package
from wsss_core.config.parameters import Parameters
from wsss_core.config.registry import Registry
from wsss_core.config.sections import SECTIONS
from wsss_core.errors import UserError

Kind = TypeVar("Kind", bound=Parameters)
_loaded: dict[str, str] = {}
"""By file, the digest of the content that was loaded."""
_SOURCES: dict[type[Parameters], dict[str, str]] = {}
"""By settings class, the file it comes from and the file's digest."""
_IMPLEMENTED = {
    "backbones": "a TrunkNetwork",
    "classifiers": "an Objective",
    "cams": "a function with @cam_method",
    "affinities": "an AffinityMethod or TrainingFreeMethod",
}
"""Sections that an extension can add to, and the code that its settings need."""


def register(section: str) -> Callable[[type[Kind]], type[Kind]]:
    """Class decorator: make a settings class a kind of variant of a section.

    Args:
        section: ``backbones``, ``classifiers``, ``cams`` or ``affinities``; the class must be derived from
            ``Backbone``, ``Classifier``, ``Cams``, ``LearnedAffinity`` or ``TrainingFreeAffinity`` and declare
            ``network: Literal["name"] = "name"``, or ``objective``, or ``method``.
    """

    def add(kind: type[Kind]) -> type[Kind]:
        kinds = SECTIONS.get(section)
        if section not in _IMPLEMENTED or kinds is None or kinds.kind_key is None:
            raise UserError(f"register('{section}'): settings are registered for one of {', '.join(_IMPLEMENTED)}")
        field = kind.model_fields.get(kinds.kind_key)
        if field is None or not isinstance(field.default, str):
            raise UserError(f'{kind.__name__}: needs `{kinds.kind_key}: Literal["name"] = "name"`')
        taken = kinds.kinds.get(field.default)
        packages_own = section == "backbones" and is_of_the_package(field.default)
        if packages_own or (taken is not None and taken not in _SOURCES and taken.__module__ != kind.__module__):
            raise UserError(f"{kind.__name__}: the name '{field.default}' is the package's own; choose another")
        kinds.kinds[field.default] = kind
        return kind

    return add


def load_extension(file: str) -> None:
    """Run a file that registers settings and their code; once per process.

    Raises:
        UserError: the file is missing or fails, uses a name of the package, or lacks code for its settings.
    """
    path = Path(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        searched = "" if path.is_absolute() else f"; its path is relative to {Path.cwd()}"
        raise UserError(f"{file}: the extension cannot be read ({error.strerror}){searched}") from None
    digest = hashlib.sha256(content).hexdigest()
    if _loaded.get(file) == digest:
        return
    name = _module_name(file)
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UserError(f"{file}: an extension is a Python file, with the ending .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # pydantic looks annotations up there
    try:
        specification.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{file}: the extension fails: {type(error).__name__}: {error}") from error
    for section, what in _IMPLEMENTED.items():
        # Looked up, not imported: an extension that implements something has imported the registry.
        registry = Registry.of_sections.get(section)
        names = {} if registry is None else registry.known
        for kind_name, kind in SECTIONS[section].kinds.items():
            if kind.__module__ != name:
                continue
            if kind_name not in names:
                raise UserError(f"{file}: registers settings '{kind_name}' for {section}, but not {what} of that name")
            _SOURCES[kind] = {"file": file, "sha256": digest}
    _loaded[file] = digest


def source_of(settings: Parameters) -> Mapping[str, str] | None:
    """File and digest of the extension that a variant's kind comes from; None for the package's own.

    Part of the identity of what is made with it: after a change of the extension its artifacts are made again.
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


def file_of_extension(module: str) -> str | None:
    """The file of the extension that was loaded as the module of this name; None if there is none."""
    return next((file for file in _loaded if _module_name(file) == module), None)


def _module_name(file: str) -> str:
    return f"wsss_extension_{hashlib.sha256(str(Path(file).resolve()).encode()).hexdigest()[:10]}"
