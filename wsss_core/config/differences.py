"""The settings of a configuration next to their defaults."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticUndefined, to_jsonable_python

from wsss_core.config.parameters import Parameters
from wsss_core.config.root import Config

NOT_LISTED = ("runtime", "resources", "report")
"""How things run and are shown, which changes no result."""


def all_settings(config: Config) -> list[dict[str, Any]]:
    """Every setting that results may depend on.

    Args:
        config: a checked configuration.

    Returns:
        Each setting's ``key`` (its path), ``value`` and ``default``, as JSON values; ``given`` says that it has no
        default, ``differs`` that it has one and is not equal to it.
    """
    return [
        setting
        for name in type(config).model_fields
        if name not in NOT_LISTED
        for setting in _settings(name, getattr(config, name), PydanticUndefined)
    ]


def _settings(key: str, value: Any, default: Any) -> Iterator[dict[str, Any]]:
    """The settings in a block or in named variants; a plain value is one setting."""
    if isinstance(value, Parameters):
        like = default if type(default) is type(value) else None
        if default is None:
            yield _setting(key, "a block", None)
        for name, field in type(value).model_fields.items():
            inner = field.get_default(call_default_factory=True) if like is None else getattr(like, name)
            yield from _settings(f"{key}.{name}", getattr(value, name), inner)
    elif isinstance(value, Mapping) and any(isinstance(item, Parameters) for item in value.values()):
        for name, item in value.items():
            yield from _settings(f"{key}.{name}", item, PydanticUndefined)
    elif not (isinstance(value, Mapping | tuple) and not value and default is PydanticUndefined):
        yield _setting(key, value, default)


def _setting(key: str, value: Any, default: Any) -> dict[str, Any]:
    given = default is PydanticUndefined
    here, otherwise = to_jsonable_python(value), None if given else to_jsonable_python(default)
    return {
        "key": key,
        "value": here,
        "default": otherwise,
        "given": given,
        "differs": not given and here != otherwise,
    }
