"""A page about a data set: what it holds, and what is odd about it."""

from collections.abc import Sequence
from pathlib import Path

import pandas

from wsss_core.atomic import atomic_path, write_text
from wsss_core.datasets.faults import Fault
from wsss_core.datasets.index import DatasetIndex


def write_dataset_report(
    title: str,
    index: DatasetIndex,
    warnings: Sequence[Fault],
    skipped: Sequence[Fault],
    report_html: Path | str,
    report_csv: Path | str,
) -> None:
    """Write the page and its counts.

    Args:
        title: what the data set is.
        index: its images, without those that were left out.
        warnings: what is odd.
        skipped: why images were left out.
        report_html: the page; one file that needs no other.
        report_csv: images by class and split.
    """
    counts = pandas.DataFrame(
        {split: index.split(split).label_matrix.sum(axis=0) for split in ("train", "val")}, index=list(index.classes)
    )
    with atomic_path(report_csv) as temporary:
        counts.rename_axis("class").to_csv(temporary, lineterminator="\n")
    write_text(Path(report_html), f"<!doctype html><title>{title}</title>{counts.to_html()}")
