"""Numbers in the configuration: what counts as one, and ranges that several settings share.

Every number has a wide range. It excludes only what nobody can mean (a crop of 10^30 pixels, images at 1e-300 of their
size), because a job would fail on that hours later, or never.
"""

import re
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""Seed of random numbers."""
Epochs = Annotated[int, Field(ge=0, le=100_000)]
"""Passes over the training images."""
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
"""Images of one step."""
Channels = Annotated[int, Field(ge=1, le=8_192)]
"""Channels of a layer."""
Bins = Annotated[int, Field(ge=1, le=1_024)]
"""Cells, each way, of a grid that features are averaged over."""
Dilation = Annotated[int, Field(ge=1, le=1_024)]
"""Cells between two weights of a convolution."""
Scale = Annotated[float, Field(ge=0.05, le=8)]
"""Multiple of an image's size."""
Power = Annotated[float, Field(ge=0.01, le=1_000)]
"""Exponent."""
Factor = Annotated[float, Field(ge=1e-4, le=1e4)]
"""Multiple of something."""
Weight = Annotated[float, Field(ge=0, le=1e6)]
"""Weight of a term in a sum."""
Deviation = Annotated[float, Field(ge=0.01, le=10_000)]
"""Width of a Gaussian."""
MemoryMiB = Annotated[int, Field(ge=100, le=1_000_000_000)]
"""Memory that a job asks for."""
Minutes = Annotated[int, Field(ge=1, le=10_000_000)]
"""Time limit of a job."""

_WITH_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""``1e-3`` is a number to people and in YAML 1.2, but text in YAML 1.1, which Python reads."""


@cache
def numeric_fields(model: type[BaseModel]) -> frozenset[str]:
    """The keys of a block whose values are numbers, or lists of them."""
    return frozenset(name for name, field in model.model_fields.items() if _has_number(field.annotation))


def as_number(value: Any) -> Any:
    """A value of a numeric key, with ``1e-3`` as a number.

    Raises:
        ValueError: it is or contains bytes, or true or false, which Python would take for 1 and 0.
    """
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")
    if isinstance(value, bytes | bytearray):
        raise ValueError("must be a number, not binary data")
    if isinstance(value, list | tuple):
        return [as_number(item) for item in value]
    if isinstance(value, str) and _WITH_EXPONENT.fullmatch(value):
        return float(value)
    return value


def _has_number(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return False
    return annotation in (int, float) or any(map(_has_number, get_args(annotation)))
