"""Writes the training curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas

from wsss_core.files.atomic import atomic_path


def write_curve(curve: Sequence[Mapping[str, float]], path: Path | str) -> None:
    """Write a training curve as CSV, one row for each epoch; without a training, only the header.

    A loss that an epoch does not have (AEFT's triplets before the end of the warm-up) is an empty cell.
    """
    names = dict.fromkeys(name for row in curve for name in row) or dict.fromkeys(["epoch", "loss", "learning_rate"])
    columns = [name for name in names if name != "learning_rate"] + ["learning_rate"]
    table = pandas.DataFrame(list(curve), columns=columns).astype({"epoch": int})
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
