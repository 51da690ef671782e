"""From plain values to a checked configuration; every fault is one line that says what would be right."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from wsss_core.config.dataset import DATASET_FORMATS, Dataset, dataset_settings
from wsss_core.config.extensions import load_extension
from wsss_core.config.multiples import unfit_multiples
from wsss_core.config.parameters import overlay, settings_class
from wsss_core.config.patches import too_coarse_patches
from wsss_core.config.paths import written_out
from wsss_core.config.references import unfit_references
from wsss_core.config.root import Config
from wsss_core.config.sections import REFERENCES, SECTIONS
from wsss_core.config.stages import DEFAULT_RESOURCES, GPU_THREADS, useless_gpus
from wsss_core.config.supervision import unfit_supervision
from wsss_core.config.values_in_words import in_words
from wsss_core.config.wording import finding_in_words
from wsss_core.config.yaml_files import ConfigError, misread_parts
from wsss_core.errors import UserError

OF_ONE_EXPERIMENT = "published"
"""The key that ``extends`` does not inherit: it belongs to one experiment."""
VARIANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")


def load_config(raw: Mapping[str, Any]) -> Config:
    """Check a configuration as read from YAML.

    Args:
        raw: the mapping, before ``extends`` is resolved.

    Raises:
        ConfigError: naming every fault found, one line each.
    """
    faults = misread_parts(raw)
    if any(" contains itself" in fault for fault in faults):
        raise ConfigError(faults)  # whatever looks at it would never end
    checked: dict[str, Any] = {}
    _load_extensions(raw.get("extensions"), faults)
    for key, value in raw.items():
        if value is None or not isinstance(key, str):
            continue  # a key without a value is as good as left out
        if key == "dataset" and isinstance(value, Mapping):
            checked[key] = _check_dataset(value, faults)
        elif key not in SECTIONS:
            checked[key] = value
        elif isinstance(value, Mapping):
            checked[key] = _check_section(key, value, faults)
        else:
            faults.append(f"{key}: must be a mapping of names to settings, not {in_words(value)}")
    if isinstance(raw.get("resources"), Mapping):
        checked["resources"] = {
            rule: {**_default_resources(rule), **asked}
            if rule in DEFAULT_RESOURCES and isinstance(asked, Mapping)
            else asked
            for rule, asked in raw["resources"].items()
        }
    config: Config | None = None
    if not faults:
        try:
            config = Config.model_validate(checked)
        except ValidationError as error:
            faults.extend(_sentences(error, Config, ()))
    else:  # report the other sections' faults as well
        for key in checked.keys() - SECTIONS.keys() - {"dataset"}:
            faults.extend(_check_plain(key, checked[key]))
    if config is not None:
        faults.extend(
            list(_unknown_references(config))
            or [
                *unfit_references(config),
                *too_coarse_patches(config),
                *unfit_multiples(config),
                *unfit_supervision(config),
            ]
        )
        faults.extend(
            unknown_name(("resources", rule), "no such rule", rule, DEFAULT_RESOURCES)
            for rule in config.resources
            if rule not in DEFAULT_RESOURCES
        )
        faults.extend(useless_gpus(config.resources))
    if faults or config is None:
        raise ConfigError(faults)
    return config


def _load_extensions(files: Any, faults: list[str]) -> None:
    """Run the extensions' files, so that their settings are known; what is wrong is added to ``faults``."""
    if files is None:
        return
    if not isinstance(files, list | tuple):
        faults.append(f"extensions: must be a list of paths, not {in_words(files)}")
        return
    for file in files:
        if not isinstance(file, str):
            faults.append(f"extensions: must be a list of paths, and {in_words(file)} is not a path")
            continue
        try:
            load_extension(written_out(file))
        except (UserError, ValueError) as error:
            faults.append(f"extensions: {error}")


def _default_resources(rule: str) -> dict[str, Any]:
    """What a job of a rule asks for by default; without the threads if they depend on whether it has a GPU."""
    return DEFAULT_RESOURCES[rule].model_dump(exclude={"threads"} if rule in GPU_THREADS else None)


def _check_dataset(values: Mapping[str, Any], faults: list[str]) -> Dataset | None:
    """The data set's settings, by format; what is wrong is added to ``faults``."""
    name = str(values.get("format", "voc"))
    if name not in DATASET_FORMATS:
        faults.append(unknown_name(("dataset", "format"), "unknown", name, DATASET_FORMATS))
        return None
    try:
        return dataset_settings(dict(values))
    except ValidationError as error:
        faults.extend(_sentences(error, DATASET_FORMATS[name], ("dataset",)))
        return None


def _check_plain(key: str, value: Any) -> list[str]:
    field = Config.model_fields.get(key)
    if field is None:
        return [unknown_name((key,), "unknown key", key, Config.model_fields)]
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        try:
            field.annotation.model_validate(value)
        except ValidationError as error:
            return _sentences(error, field.annotation, (key,))
    return []


def _check_section(section: str, variants: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """The section's variants as settings objects; what is wrong is added to ``faults``."""
    kinds, checked = SECTIONS[section], {}
    for name in variants:
        path = (section, str(name))
        if not isinstance(name, str) or not VARIANT_NAME.fullmatch(name):
            hint = "" if isinstance(name, str) else f"; YAML reads this one as {in_words(name)}: put it in quotes"
            faults.append(f"{'.'.join(path)}: a name is made of letters, digits and '_'{hint}")
            continue
        settings = _resolve_extends(section, name, variants, (), faults)
        if settings is None:
            continue
        kind_name = settings.get(kinds.kind_key) if kinds.kind_key else None
        if kinds.closed and not kinds.knows(kind_name):
            if kind_name is None:
                faults.append(f"{'.'.join(path)}.{kinds.kind_key}: is missing; one of {_listed(kinds.kinds)}")
            else:
                faults.append(unknown_name((*path, str(kinds.kind_key)), "unknown", str(kind_name), kinds.kinds))
            continue
        model = kinds.kind(kind_name)
        try:
            checked[name] = model.model_validate(settings)
        except ValidationError as error:
            faults.extend(_sentences(error, model, path))
    return checked


def _resolve_extends(
    section: str, name: str, variants: Mapping[str, Any], children: tuple[str, ...], faults: list[str]
) -> dict[str, Any] | None:
    """The variant's settings over those of the variant it extends; None after a fault."""
    path = f"{section}.{children[0] if children else name}"
    if name in children:
        if children[0] == name:  # report the circle once for each of its members, not for those that lead to it
            faults.append(f"{path}.extends: goes in a circle: {' -> '.join((*children, name))}")
        else:
            faults.append(f"{path}.extends: leads to a circle at '{name}'")
        return None
    settings = variants[name]
    if not isinstance(settings, Mapping):
        if not children:
            faults.append(f"{path}: must be a mapping of settings, not {in_words(settings)}")
        return None
    own = {key: value for key, value in settings.items() if key != "extends"}
    if "extends" not in settings:
        return own
    parent = settings["extends"]
    if not isinstance(parent, str) or parent not in variants:
        faults.append(unknown_name((section, name, "extends"), "no such variant", str(parent), variants))
        return None
    inherited = _resolve_extends(section, parent, variants, (*children, name), faults)
    if inherited is None:
        return None
    if section == "experiments":
        inherited.pop(OF_ONE_EXPERIMENT, None)
    kinds = SECTIONS[section]
    kind_name = own.get(kinds.kind_key, inherited.get(kinds.kind_key)) if kinds.kind_key else None
    known = kinds.knows(kind_name) or not kinds.closed
    return overlay(inherited, own, kinds.kind(kind_name) if known else None)


def _unknown_references(config: Config) -> Iterable[str]:
    for section, fields in REFERENCES.items():
        for name, variant in getattr(config, section).items():
            for field, target in fields.items():
                reference, known = getattr(variant, field, None), getattr(config, target)
                if reference is not None and reference not in known:
                    yield unknown_name((section, name, field), f"no such variant in '{target}'", reference, known)


def _sentences(error: ValidationError, model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """Pydantic's findings, a line each, with the key's full path and what is allowed."""
    lines = []
    findings = error.errors()
    for finding in findings:
        # For a list whose items are wrong, pydantic also reports that it is too short.
        if finding["type"] == "too_short" and any(_lies_in(other["loc"], finding["loc"]) for other in findings):
            continue
        location = tuple(str(part) for part in finding["loc"])
        where = ".".join((*path, *location)) or "the file"
        if finding["type"] == "extra_forbidden":
            allowed = _fields_at(model, location[:-1])
            lines.append(unknown_name((*path, *location), "unknown key", location[-1], allowed))
        elif finding["type"] == "model_type":
            keys = _listed(_fields_at(model, location))
            lines.append(f"{where}: must be a block of settings ({keys}), not {in_words(finding['input'])}")
        elif finding["type"] == "missing":
            lines.append(f"{where}: is missing")
        elif finding["type"] == "value_error":
            lines.append(f"{where}: {finding['ctx']['error']}")
        else:
            lines.append(f"{where}: {finding_in_words(finding)}")
    return lines


def _lies_in(location: tuple[Any, ...], block: tuple[Any, ...]) -> bool:
    return len(location) > len(block) and location[: len(block)] == block


def _fields_at(model: type[BaseModel], location: tuple[str, ...]) -> list[str]:
    """The keys that the block at ``location`` inside ``model`` may have."""
    for part in location:
        if part in model.model_fields:
            inner = settings_class(model.model_fields[part].annotation)
            model = inner if inner is not None else model
    return list(model.model_fields)


def unknown_name(path: tuple[str, ...], what: str, name: str, allowed: Iterable[str]) -> str:
    """The line about a name that is not among the ``allowed`` ones, with the nearest of them."""
    names = [str(candidate) for candidate in allowed]
    hint = "".join(f"did you mean '{near}'? " for near in difflib.get_close_matches(name, names, n=1, cutoff=0.6))
    return f"{'.'.join(path)}: {what}: '{name}'; {hint}allowed: {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none is defined"
