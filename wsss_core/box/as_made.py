"""What a run makes at its end, made from a box: links and pages; and file times that leave Snakemake nothing to do."""

import os
from collections.abc import Iterable
from pathlib import Path
from time import time_ns

from wsss_core.box.contents import CARD, OVERVIEW
from wsss_core.box.one_experiment import packed_artifacts, scores_are_there
from wsss_core.config.differences import all_settings
from wsss_core.files.atomic import atomic_path, write_text
from wsss_core.plan.descriptions import described_artifacts, described_classifiers, described_experiments
from wsss_core.plan.experiments import existing_links, link_experiment, listed_links, relative_links
from wsss_core.plan.plan import Plan
from wsss_core.plan.rules import Rules, directories
from wsss_core.report.make_report import Run, make_report
from wsss_core.report.pictured import Pictured
from wsss_core.report.summary import summarise

PAGES = (OVERVIEW, "summary.csv", "summary.md", "report.html")
"""What Snakemake makes from all experiments together, in the folder of results."""


def times_as_made(plan: Plan, targets: Iterable[Path]) -> dict[Path, int]:
    """The time of change that each missing file needs, so that none is newer than what is made from it, nor older than
    what it is made from. Some files may exist already: from a killed call, another box, or a run.

    Args:
        plan: of only this experiment.
        targets: files of its artifacts, and files that its settings name.

    Returns:
        Nanoseconds since 1970, for the files that do not exist.
    """
    of_artifacts: dict[Path, list[Path]] = {}
    depth = len(plan.folder.parts) + 2
    for target in targets:
        of_artifacts.setdefault(Path(*target.parts[:depth]), []).append(target)
    there = {file: file.stat().st_mtime_ns for files in of_artifacts.values() for file in files if file.exists()}
    # As early as possible: existing files may have been made from missing ones.
    named = [time for file, time in there.items() if not file.is_relative_to(plan.folder)]
    earliest = max(named, default=min(there.values(), default=time_ns()))
    youngest: dict[Path, int] = {}
    for artifact in packed_artifacts(plan, with_maps=True):  # upstream ones first
        own = [there[file] for file in of_artifacts.get(artifact.directory, ()) if file in there]
        upstream = [youngest[before.directory] for before in artifact.upstream.values()]
        youngest[artifact.directory] = max([earliest, *own, *upstream])
    return {
        file: youngest.get(directory, earliest)
        for directory, files in of_artifacts.items()
        for file in files
        if file not in there
    }


def made_besides(rules: Rules, experiment: str) -> list[Path]:
    """The files that :func:`as_made` may write."""
    own = rules.plan.folder / "experiments" / experiment
    return [own / "links.json", own / CARD, own / OVERVIEW, *map(rules.plan.folder.joinpath, PAGES)]


def as_made(rules: Rules, experiment: str, card: str, overview: bytes | None, targets: Iterable[Path]) -> None:
    """Make links, and pages of this experiment if there are none of others.

    What exists and is right is not written again: what is made from it would then be older, and be made again.

    Args:
        rules: of only this experiment.
        experiment: its name.
        card: the page about the box.
        overview: the picture in the box.
        targets: the files of the experiment's artifacts, which all exist.
    """
    folder, stages = Path(rules.folder), rules.plan.experiments[experiment]
    _no_folder_younger_than_its_files(targets, rules.plan.folder)
    links = folder / "experiments" / experiment / "links.json"
    if not _is_linked(links, relative_links(links, directories(stages))):
        link_experiment(links, directories(stages))
    if not links.with_name(CARD).exists() or links.with_name(CARD).read_text(encoding="utf-8") != card:
        write_text(links.with_name(CARD), card)
    rules.has_masks = scores_are_there(rules.plan)
    described, classifiers = described_experiments(rules), described_classifiers(rules)
    name = rules.config.dataset.name
    for picture in (links.with_name(OVERVIEW), folder / OVERVIEW):  # a later run overwrites only the second one
        if overview is not None and not picture.exists():
            with atomic_path(picture) as temporary:
                temporary.write_bytes(overview)
    if not (folder / "summary.md").exists() or not (folder / "summary.csv").exists():
        summarise(name, described, folder / "summary.csv", folder / "summary.md", classifiers)
    if not (folder / "report.html").exists():
        dataset = rules.plan.dataset
        pictured = Pictured(dataset.path("index.csv"), dataset.path("classes.json"), None, {}, {}, 0)
        make_report(
            Run(
                name,
                folder,
                described,
                {experiment: directories(stages)},
                described_artifacts(rules),
                all_settings(rules.config),
                pictured,
                {},
                classifiers,
            ),
            folder / "report.html",
        )
    made = [target for target in targets if target.is_relative_to(rules.plan.folder)]
    _at_least_as_young(links, made)
    for page in PAGES:  # including those of other experiments, which stay
        _at_least_as_young(folder / page, [links])


def _is_linked(links: Path, wanted: dict[str, str]) -> bool:
    return listed_links(links) == wanted and existing_links(links.parent) == wanted


def _no_folder_younger_than_its_files(targets: Iterable[Path], results: Path) -> None:
    """Folders in artifacts are inputs, too, and change with each file that is put into them."""
    youngest: dict[Path, int] = {}
    for target in targets:
        if target.is_relative_to(results):
            inside = len(target.relative_to(results).parts) - 3
            for parent in list(target.parents)[: max(inside, 0)]:
                youngest[parent] = max(youngest.get(parent, 0), target.stat().st_mtime_ns)
    for parent, time in youngest.items():
        if parent.stat().st_mtime_ns > time:
            os.utime(parent, ns=(time, time))


def _at_least_as_young(file: Path, others: Iterable[Path]) -> None:
    youngest = max((other.stat().st_mtime_ns for other in others), default=0)
    if file.exists() and file.stat().st_mtime_ns < youngest:
        os.utime(file, ns=(youngest, youngest))
