"""Tables of a benchmark's scores: means over seeds, spreads, paired differences."""

import csv
import os
import platform
import statistics
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from wsss_core.config import load_config
from wsss_core.plan.plan import Plan

COLUMNS = {
    "seed": "seed, best threshold",
    "fixed": "seed, fixed threshold",
    "refined": "+ CRF",
    "pseudo": "pseudo labels",
    "val": "DeepLab, val",
}
"""What is scored, and how its column is headed."""


def scores_of_seed(config: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """MIoU in percent by experiment and by key of ``COLUMNS``, as far as the experiment goes."""
    checked = load_config(config)
    plan = Plan(checked)
    scores: dict[str, dict[str, float]] = {}
    for name, artifacts in plan.experiments.items():
        cams = checked.experiments[name].cams
        assert cams is not None
        rows = rows_of(artifacts["cams"].path("scores.csv"))
        threshold = f"{checked.cams[cams].threshold.fixed:.2f}"
        found = {
            "seed": max(float(row["miou"]) for row in rows),
            "fixed": next(float(row["miou"]) for row in rows if row["threshold"] == threshold),
        }
        for key, stage, file in (
            ("refined", "refined_seeds", "labels.scores.csv"),
            ("pseudo", "pseudo_labels", "labels.scores.csv"),
            ("val", "predictions", "labels.scores.csv"),
        ):
            if stage in artifacts:
                found[key] = float(rows_of(artifacts[stage].path(file))[0]["miou"])
        scores[name] = {key: 100 * value for key, value in found.items()}
    return scores


def rows_of(path: str) -> list[dict[str, str]]:
    """The rows of a CSV file by column."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def report(configs: Mapping[int, Mapping[str, Any]]) -> str:
    """All tables of a benchmark as Markdown.

    Args:
        configs: by seed, the configuration that was run.
    """
    from benchmarks.methods import ABLATIONS, CONTROLS, METHODS

    scores = {seed: scores_of_seed(config) for seed, config in configs.items()}
    some = next(iter(configs.values()))
    generate = some["dataset"]["generate"]
    lines = [
        "# What the methods are worth on `creatures`",
        "",
        f"`python -m benchmarks.methods`, {date.today()}, {machine()}. {len(scores)} data seeds "
        f"({', '.join(map(str, scores))}), {generate['train_images']} training and {generate['val_images']} validation "
        f"images of {generate['size']} pixels. mIoU in percent, mean ± standard deviation over seeds; differences are "
        "paired by seed.",
        "",
        "The best threshold is chosen on the masks of the training images, which weak supervision does not have; the "
        'fixed one is in `config.yaml` and was chosen, as all settings, on seed 0; the columns from "+ CRF" on use '
        "fixed thresholds only. The segmenter is scored on validation images.",
        "",
        "## Methods",
        "",
        f"| experiment | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    lines += [_row(scores, name) for name in METHODS]
    lines += ["", "## Gain over the control", ""]
    lines += [
        "AdvCAM changes no classifier: its control is the plain CAM of the same one. The control of the others is an "
        "ordinary classifier on the same trunk that starts from the same weights and trains for as many epochs.",
        "",
        "| method | control's seed, best threshold | gain | by seed |",
        "|---|---|---|---|",
    ]
    controls = {"advcam": "cam", **{method: name for name, (_, method) in CONTROLS.items()}}
    lines += [_difference(scores, method, control) for method, control in controls.items()]
    scores = {seed: one for seed, one in scores.items() if any(name in one for name in ABLATIONS)}
    if scores:
        seeds = ", ".join(map(str, scores))
        lines += ["", "## Ablations", ""]
        lines += [f"Seed at its best threshold, and its difference to the whole method; data seeds {seeds}.", ""]
        lines += ["| switched off | seed | difference | by seed |", "|---|---|---|---|"]
        lines += [
            _ablation(scores, name, method)
            for name, (method, _) in ABLATIONS.items()
            if all(name in one for one in scores.values())
        ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Cores and processor, for the heading of a report."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{os.cpu_count()} cores ({name})"


def _text(values: Iterable[float]) -> str:
    values = list(values)
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def _row(scores: Mapping[int, Mapping[str, Mapping[str, float]]], name: str) -> str:
    cells = [_text(one[name][key] for one in scores.values()) for key in COLUMNS]
    return f"| {name} | {' | '.join(cells)} |"


def _paired(scores: Mapping[int, Mapping[str, Mapping[str, float]]], name: str, other: str) -> list[float]:
    return [one[name]["seed"] - one[other]["seed"] for one in scores.values()]


def _difference(scores: Mapping[int, Mapping[str, Mapping[str, float]]], method: str, control: str) -> str:
    gains = _paired(scores, method, control)
    own = _text(one[control]["seed"] for one in scores.values())
    return f"| {method} | {own} | {_signed(gains)} | {' '.join(f'{gain:+.1f}' for gain in gains)} |"


def _ablation(scores: Mapping[int, Mapping[str, Mapping[str, float]]], name: str, method: str) -> str:
    changes = _paired(scores, name, method)
    own = _text(one[name]["seed"] for one in scores.values())
    return f"| {name} | {own} | {_signed(changes)} | {' '.join(f'{change:+.1f}' for change in changes)} |"


def _signed(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):+.1f}{spread}"
