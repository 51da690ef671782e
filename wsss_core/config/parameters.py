"""The base of every block of the configuration."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from wsss_core.config.numbers import Scale, as_number, numeric_fields


def _different_scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(scales)) != len(scales):
        raise ValueError("scales must be different numbers")
    return scales


Scales = Annotated[tuple[Scale, ...], Field(min_length=1, max_length=32), AfterValidator(_different_scales)]
"""Multiples of an image's size."""


class Parameters(BaseModel):
    """A block of settings: typed, immutable, and closed (an unknown key is an error).

    The docstring under each field is its description in the JSON schema that editors read and in the reference table
    of ``docs/configuration.md``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    alternatives: ClassVar[tuple[str, ...]] = ()
    """Keys that exclude each other: giving one removes an inherited other one."""
    belongs_to: ClassVar[Mapping[str, str]] = {}
    """Keys that depend on a choice under another key: an inherited one is removed when the choice changes."""
    short_for: ClassVar[str | None] = None
    """The key that a plain text in place of the block is short for; a block laid over the text keeps that key."""
    short_type: ClassVar[str | None] = None
    """JSON type of a plain value that is short for the block, for the schema."""

    @model_validator(mode="before")
    @classmethod
    def _complete_blocks(cls, settings: Any) -> Any:
        """Complete a block that is given in part, from its default in this class."""
        settings = in_full(settings, cls)
        if not isinstance(settings, Mapping):
            return settings
        completed = dict(settings)
        for key, field in cls.model_fields.items():
            if isinstance(field.default, Parameters) and isinstance(completed.get(key), Mapping):
                block = type(field.default)
                completed[key] = overlay(field.default.model_dump(), completed[key], block)
        return completed

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """``true`` is no number, and ``1e-3`` is one."""
        return as_number(value) if info.field_name in numeric_fields(cls) else value


def overlay(below: Mapping[str, Any], above: Mapping[str, Any], block: type[BaseModel] | None) -> dict[str, Any]:
    """The settings ``above`` laid over those ``below``.

    Args:
        below: inherited or default settings.
        above: the given settings; blocks are merged key by key, everything else is replaced.
        block: the class of the settings, if known; it says which keys exclude each other.
    """
    alternatives: tuple[str, ...] = getattr(block, "alternatives", ())
    belongs_to: Mapping[str, str] = getattr(block, "belongs_to", {})
    given = {key for key in alternatives if above.get(key) is not None}
    gone = set(alternatives) - given if given else set()
    for key, choice in belongs_to.items():
        kept = None if choice in gone else below.get(choice)
        if above.get(choice, kept) != below.get(choice):
            gone.add(key)
    merged = {key: value for key, value in below.items() if key not in gone}
    for key, value in above.items():
        field = block.model_fields.get(key) if block else None
        kind = settings_class(field.annotation) if field else None
        inner = in_full(merged.get(key), kind)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            merged[key] = overlay(inner, value, kind)
        else:
            merged[key] = value
    return merged


def in_full(settings: Any, block: type[BaseModel] | None) -> Any:
    """A plain value that is short for a block, as that block; other values unchanged."""
    key = getattr(block, "short_for", None)
    return {key: settings} if key is not None and isinstance(settings, str) else settings


def settings_class(annotation: Any) -> type[Parameters] | None:
    """The settings class inside an annotation such as ``Crf | None`` or ``dict[str, Crf]``."""
    if isinstance(annotation, type) and issubclass(annotation, Parameters):
        return annotation
    return next((found for part in get_args(annotation) if (found := settings_class(part))), None)
