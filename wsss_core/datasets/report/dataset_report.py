"""A page about a data set: what it holds, and what is odd about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.report.dataset_counts import (
    class_counts,
    classes_per_image,
    images_together,
    size_map,
    splits_of,
    strongest_pairs,
)
from wsss_core.files.atomic import atomic_path
from wsss_core.files.html_page import write_html

TEMPLATES = Path(__file__).with_name("templates")
LISTED_PER_KIND = 200
"""The page lists at most this many faults of each kind, and counts the others."""
MOST_CLASSES_PER_IMAGE = 15
"""Images that show more classes than this are counted together."""
PAIRS = 20
"""The page names at most this many pairs of classes."""
OPEN_MATRIX = 24
"""A matrix with more classes than this is folded away, because it is wider than a screen."""
LARGEST_MATRIX = 254
"""The matrix has at most this many classes, the commonest: with more, the page would have megabytes."""
SHADES = 9
"""Steps of colour between no image and all images."""


def write_dataset_report(
    title: str,
    index: DatasetIndex,
    warnings: Sequence[Fault],
    skipped: Sequence[Fault],
    report_html: Path | str,
    report_csv: Path | str | None,
) -> None:
    """Write the page and its counts. Equal data give equal bytes.

    Args:
        title: the title of the page.
        index: the images, without those that were left out.
        warnings: oddities.
        skipped: why images were left out; or, without ``report_csv``, the faults that stopped the check.
        report_html: the page to write: one file that needs no other file and no network.
        report_csv: the table of classes to write, see ``class_counts``, with six decimals; None for no table.
    """
    counts = class_counts(index)
    if report_csv is not None:
        with atomic_path(report_csv) as temporary:
            counts.to_csv(temporary, encoding="utf-8", lineterminator="\n", float_format="%.6f")
    values = dict(
        title=title,
        stopped=report_csv is None,
        images=len(index),
        splits=_splits(index),
        classes=_classes(counts),
        histogram=_histogram(index),
        sizes=_sizes(index),
        common_sizes=_common_sizes(index),
        size_map=_size_map(index),
        matrix=_matrix(index),
        warnings=_by_kind(warnings),
        skipped=_by_kind(skipped),
        skipped_images=len({fault.image_id for fault in skipped}),
    )
    write_html(report_html, TEMPLATES / "dataset_report.html", values, {"number": _number, "percent": _percent})


def _splits(index: DatasetIndex) -> list[dict[str, Any]]:
    shown = classes_per_image(index)
    rows = []
    for split in splits_of(index):
        of_split = shown[index.table["split"] == split]
        rows.append(
            {
                "name": split,
                "images": len(of_split),
                "share": len(of_split) / len(index),
                "without": int((of_split == 0).sum()),
                "mean": float(of_split.mean()),
            }
        )
    return rows


def _classes(counts: Any) -> list[dict[str, Any]]:
    """The rows of the table of classes; bars are relative to the commonest class."""
    longest = {split: max(int(counts[split].max()), 1) for split in ("train", "val")}
    return [
        {
            "value": value,
            "name": row.Index,
            "train": row.train,
            "val": row.val,
            "train_bar": row.train / longest["train"],
            "val_bar": row.val / longest["val"],
            "train_share": row.train_share,
            "val_share": row.val_share,
            "alone": row.train_alone / row.train if row.train else None,
            "mean": row.train_mean_classes if row.train else None,
        }
        for value, row in enumerate(counts.itertuples(), start=1)
    ]


def _histogram(index: DatasetIndex) -> list[dict[str, Any]]:
    """How many images show no class, one, two and so on, by split."""
    shown = np.minimum(classes_per_image(index), MOST_CLASSES_PER_IMAGE + 1)
    columns = {split: np.bincount(shown[index.table["split"] == split]) for split in splits_of(index)}
    height = max(map(len, columns.values()), default=0)
    columns = {split: np.pad(column, (0, height - len(column))) for split, column in columns.items()}
    return [
        {
            "classes": f"{number}" if number <= MOST_CLASSES_PER_IMAGE else f"over {MOST_CLASSES_PER_IMAGE}",
            "images": {split: int(column[number]) for split, column in columns.items()},
            "bars": {split: column[number] / max(column.max(), 1) for split, column in columns.items()},
        }
        for number in range(height)
    ]


def _sizes(index: DatasetIndex) -> list[dict[str, Any]]:
    """Smallest, median and largest width and height, by split."""
    rows = []
    for split in splits_of(index):
        for what in ("width", "height"):
            values = index.split(split).table[what].to_numpy(dtype=int)
            rows.append(
                {
                    "split": split,
                    "what": what,
                    "min": int(values.min()),
                    "median": float(np.median(values)),
                    "max": int(values.max()),
                }
            )
    return rows


def _common_sizes(index: DatasetIndex, number: int = 5) -> list[tuple[int, int, int]]:
    """Width, height and number of images of the commonest sizes."""
    sizes, numbers = np.unique(index.table[["width", "height"]].to_numpy(dtype=int), axis=0, return_counts=True)
    order = np.argsort(-numbers, kind="stable")[:number]
    return [(int(sizes[at, 0]), int(sizes[at, 1]), int(numbers[at])) for at in order]


def _size_map(index: DatasetIndex) -> dict[str, Any] | None:
    """The squares of the chart of sizes, and the ticks of its two equal axes, in cells."""
    sizes = size_map(index)
    if sizes is None:
        return None
    side = (sizes.high - sizes.low) * sizes.steps
    most = max(number for _, _, number in sizes.cells)
    return {
        "side": side,
        "cells": [
            {
                "x": column,
                "y": side - 1 - row,
                "shade": f"{0.2 + 0.8 * np.log(number) / np.log(most) if most > 1 else 1:.2f}",
                "images": number,
                "width": sizes.pixels(column),
                "height": sizes.pixels(row),
            }
            for column, row, number in sizes.cells
        ],
        "ticks": [
            {"at": at * sizes.steps, "from_top": side - at * sizes.steps, "pixels": 2 ** (sizes.low + at)}
            for at in range(sizes.high - sizes.low + 1)
        ],
    }


def _matrix(index: DatasetIndex) -> dict[str, Any]:
    """The strongest pairs of classes, and all pairs of the training images."""
    together = images_together(index.split("train"))
    images = np.diagonal(together)
    kept = np.arange(len(index.classes))
    if len(kept) > LARGEST_MATRIX:
        kept = np.sort(np.argsort(-images, kind="stable")[:LARGEST_MATRIX])
    share = together / np.maximum(images, 1)[:, None]
    shades = np.ceil(share * SHADES).astype(int)
    np.fill_diagonal(shades, SHADES + 1)
    return {
        "pairs": strongest_pairs(index.classes, together, PAIRS),
        "names": [index.classes[k] for k in kept],
        "rows": [
            (index.classes[k], list(zip(shades[k, kept].tolist(), together[k, kept].tolist(), strict=True)))
            for k in kept
        ],
        "left_out": len(index.classes) - len(kept),
        "open": len(index.classes) <= OPEN_MATRIX,
        "shades": [f"{0.05 + 0.6 * step / SHADES:.2f}" for step in range(1, SHADES + 1)],
    }


def _by_kind(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """The faults under the heading of their kind, in the order of ``FaultKind``."""
    groups = []
    for kind in FaultKind:
        of_kind = [fault for fault in faults if fault.kind == kind]
        if of_kind:
            listed = of_kind[:LISTED_PER_KIND]
            groups.append({"kind": str(kind), "faults": listed, "number": len(of_kind)})
    return groups


def _number(value: float) -> str:
    """A number with commas between thousands, and one decimal if it has any."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _percent(share: float) -> str:
    """A share (0 to 1) as a percentage; small ones are not rounded to zero."""
    return "<0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
