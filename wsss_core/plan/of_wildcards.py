"""Functions of wildcards, as Snakemake takes them."""

import inspect
from collections.abc import Callable
from typing import Any

Wildcards = Any
"""Snakemake's: an attribute for each wildcard of the rule."""
OfWildcards = Callable[[Wildcards], Any]


def with_signature(function: Any) -> Any:
    """The function, with its signature: Snakemake looks it up for every job, which takes a tenth of its planning."""
    function.__signature__ = inspect.signature(function)
    return function
