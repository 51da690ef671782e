"""What a finished run prints: the table of scores, where the report is, and what to do next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from wsss_core.datasets.index import read_index
from wsss_core.plan.plan import Plan


def last_words(plan: Plan, configfiles: Sequence[Path | str]) -> str:
    """The first table of ``summary.md``, aligned, the report's path, and a few commands for what comes next.

    Args:
        plan: of a run that made everything.
        configfiles: the files given on the command line, which the commands need as well.

    Raises:
        UserError: the index of the data set is damaged.
    """
    options = " ".join(f"--configfile {shlex.quote(str(file))}" for file in configfiles)
    commands = [("your own images:", "docs/first_hour.md")]
    segmented = next((name for name, stages in plan.experiments.items() if "segmenter" in stages), None)
    if segmented is not None:
        command = f"python -m wsss_core segment --experiment {segmented} {options} IMAGES --out labelled"
        commands.insert(0, ("label new images:", command))
    if any("cams" in stages for stages in plan.experiments.values()):
        images = read_index(plan.dataset.path("index.csv"), plan.dataset.path("classes.json")).split("train")
        command = f"python -m wsss_core show cams {shlex.quote(images.image_ids[0])} {options}"
        commands.insert(0, ("an image, large:", command))
    width = max(len(what) for what, _ in commands)
    lines = ["", *_first_table((plan.folder / "summary.md").read_text(encoding="utf-8")), ""]
    lines += [f"The report: {plan.folder / 'report.html'}", "What to do next:"]
    return "\n".join([*lines, *(f"  {what.ljust(width)} {' '.join(command.split())}" for what, command in commands)])


def _first_table(markdown: str) -> list[str]:
    """The first table of a Markdown text, as columns of text under its title."""
    lines = markdown.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith("|")), None)
    if begin is None:
        return lines[:1]
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    del rows[1]  # the line of dashes
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    warnings = [line.replace("**", "") for line in lines[:begin] if line.startswith("**Warning**")]
    return [*warnings, lines[0].lstrip("# "), "", *table]
