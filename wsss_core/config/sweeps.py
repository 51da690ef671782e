"""Settings of a sweep: which experiment varies, and how."""

from typing import Any

from pydantic import Field

from wsss_core.config.parameters import Parameters


class Sweep(Parameters):
    """Repeats an experiment for every combination of the listed values."""

    experiment: str
    """Name of the experiment in ``experiments``. Each of its scores is a column of the table."""
    fields: dict[str, list[Any]] = Field(min_length=1)
    """Keys of variants that the experiment uses, with dots (``cams.advcam.steps``), each with a list of two or more
    values. A value works as if it were written there in the file. The first key is the plot's horizontal axis; each
    combination of the others' values is a line."""
