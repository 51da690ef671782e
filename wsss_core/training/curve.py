"""The curve of a training, on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas

from wsss_core.atomic import atomic_path


def write_curve(curve: Sequence[Mapping[str, float]], path: Path | str) -> None:
    """Write a training curve as CSV, one row per epoch; of no training, the header alone."""
    columns = list(curve[0]) if curve else ["epoch", "loss", "learning_rate"]
    table = pandas.DataFrame(list(curve), columns=columns).astype({"epoch": int})
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
