"""The losses of every training, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss_core.evaluation.score_file import read_curve
from wsss_core.files.provenance import recorded_jobs
from wsss_core.report.charts import Series

NO_LOSS = ("epoch", "learning_rate")
"""Columns of a training curve that are not part of the loss."""


@dataclass(frozen=True)
class TrainingCurve:
    """The curve of one training."""

    stage: str
    variant: str
    series: Sequence[Series]
    """The loss, and its parts if it has any, over the epochs."""
    epochs: int
    """Number of epochs."""
    last: float
    """The loss of the last epoch."""
    images_per_second: float | None = None
    """As the training measured it in its last run; None if it had too few steps."""
    directory: str = ""
    """The artifact's."""


def training_curves(artifacts: Sequence[Mapping[str, Any]]) -> list[TrainingCurve]:
    """The curves of all trained artifacts, stage by stage; networks that were taken as they are have none.

    Args:
        artifacts: each with its ``stage``, ``variant`` and ``directory``.
    """
    curves = []
    for artifact in artifacts:
        file = Path(artifact["directory"], "training.csv")
        if not file.exists():
            continue
        table = read_curve(file)
        losses = [column for column in table.columns if column not in NO_LOSS]
        if table.empty or "loss" not in losses:
            continue
        parts = [part for part in losses if part != "loss"]
        series = [
            Series(column, number, list(zip(table["epoch"], table[column], strict=True)))
            for number, column in enumerate(["loss", *parts])
        ]
        last = float(table["loss"].iloc[-1])
        speed = _images_per_second(file.with_name("provenance.json"))
        what = artifact["stage"], artifact["variant"]
        curves.append(TrainingCurve(*what, series, len(table), last, speed, artifact["directory"]))
    stages = list(dict.fromkeys(curve.stage for curve in curves))
    return sorted(curves, key=lambda curve: stages.index(curve.stage))


def _images_per_second(provenance: Path) -> float | None:
    """The speed that an artifact's training reported."""
    speeds = (job.get("images_per_second") for job in recorded_jobs(provenance).values())
    return next((float(speed) for speed in speeds if isinstance(speed, int | float)), None)
