"""The losses of every training, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss_core.evaluation.score_file import read_curve
from wsss_core.files.provenance import recorded_jobs
from wsss_core.report.charts import Series

NO_LOSS = ("epoch", "learning_rate")
"""Columns of a training curve that are no part of the loss."""


@dataclass(frozen=True)
class TrainingCurve:
    """The curve of one training."""

    stage: str
    """What is trained."""
    variant: str
    """Which of them."""
    series: Sequence[Series]
    """The loss, and its parts where it has some, over the epochs."""
    epochs: int
    """How many there were."""
    last: float
    """The loss of the last epoch."""
    images_per_second: float | None = None
    """As the training measured it in its last run; None where it had too few steps for that."""
    directory: str = ""
    """Of the artifact."""


def training_curves(artifacts: Sequence[Mapping[str, Any]]) -> list[TrainingCurve]:
    """The curves of all artifacts that were trained; networks that were taken as they are have none.

    Those of a stage stand together.

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
    """What the job of an artifact that trained it told of its speed."""
    speeds = (job.get("images_per_second") for job in recorded_jobs(provenance).values())
    return next((float(speed) for speed in speeds if isinstance(speed, int | float)), None)
