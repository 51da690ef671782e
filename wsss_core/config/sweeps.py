"""Settings of a sweep: which experiment is varied, and how."""

from typing import Any

from pydantic import Field

from wsss_core.config.parameters import Parameters


class Sweep(Parameters):
    """An experiment once more for every combination of the values of some keys."""

    experiment: str
    """Name in ``experiments`` of what is varied. Each score that it reaches is a column of the table."""
    fields: dict[str, list[Any]] = Field(min_length=1)
    """Keys of variants that the experiment uses, written with dots (``cams.advcam.steps``), each with a list of two or
    more values. A value stands as if it were written there in the file. The first key is the plot's horizontal axis;
    each combination of the others' values is a line."""
