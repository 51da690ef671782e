"""Functions of wildcards, for Snakemake."""

import inspect
from collections.abc import Callable
from typing import Any

Wildcards = Any
"""Snakemake's object, with an attribute for each wildcard of the rule."""
OfWildcards = Callable[[Wildcards], Any]


def with_signature(function: Any) -> Any:
    """The function with a stored signature: Snakemake asks for it in every job, which takes a tenth of its planning."""
    function.__signature__ = inspect.signature(function)
    return function
