"""Checks that the results folder, and the planned folders in it, can be made."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from wsss_core.errors import UserError
from wsss_core.files.names import LONGEST_PATH, bytes_of, longest_name
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.plan import Plan

AROUND_A_NAME = 40
"""Bytes that logs add to an artifact's or an experiment's name, as in ``predictions.<name>.000-of-008.log``."""
IN_AN_ARTIFACT = 600
"""Bytes that paths in an artifact's folder may need: an image's id, names of files in progress."""


def check_program_paths(*paths: str) -> None:
    """Refuse a checkout or an interpreter in a folder with a name that Snakemake would change.

    Raises:
        UserError: a path has braces.
    """
    for path in paths:
        if "{" in path or "}" in path:
            raise UserError(
                f"{path}: the path has braces, which Snakemake replaces; move the project, with its environment, to a "
                "folder without them"
            )


def unfit_places(plan: Plan, experiments: Mapping[str, Mapping[str, Artifact]], sweeps: Iterable[str]) -> Iterator[str]:
    """A line for each folder that cannot be made, or in which files could not be made.

    Args:
        plan: of the configuration.
        experiments: by experiment, or point of a sweep, the artifact of each stage that it passes through.
        sweeps: names of the sweeps.
    """
    results = plan.config.runtime.results
    fault = _no_folder(results) or _no_folder(plan.folder)
    if fault is not None:
        yield f"runtime.results: {fault}"
        return
    longest = longest_name(results)
    for key, (name, what) in _longest_names(plan, experiments, sweeps).items():
        length = bytes_of(name) + AROUND_A_NAME
        if length > longest:
            yield f"{key}: {what} would need file names of {length} bytes; only {longest} are possible: shorten it"
    here = max((bytes_of(os.path.abspath(artifact.directory)) for artifact in plan.artifacts()), default=0)
    if here + IN_AN_ARTIFACT > LONGEST_PATH:
        yield f"runtime.results: the path has {bytes_of(os.path.abspath(results))} bytes; choose a shorter one"


def _longest_names(
    plan: Plan, experiments: Mapping[str, Mapping[str, Artifact]], sweeps: Iterable[str]
) -> dict[str, tuple[str, str]]:
    """By key of the configuration, the longest name of a folder that comes from it, and what the name consists of."""
    named = [
        ("dataset.name", plan.config.dataset.name, "this name"),
        *((f"sweeps.{_cut(sweep)}", sweep, "this name") for sweep in sweeps),
        *((f"experiments.{_cut(name)}", name, "this name") for name in experiments),
    ]
    for experiment, artifacts in experiments.items():
        joined = "the joined names of the variants it uses"
        named += [(f"experiments.{_cut(experiment)}", artifact.name, joined) for artifact in artifacts.values()]
    # Artifacts that others are made from are not listed in experiments.
    named += [(f"variant {_cut(artifact.variant)}", artifact.name, "this name") for artifact in plan.artifacts()]
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for key, name, what in sorted(named, key=lambda entry: -bytes_of(entry[1])):
        if name not in seen:
            found.setdefault(key, (name, what))
        seen.add(name)
    return found


def _no_folder(path: Path) -> str | None:
    """Why there cannot be a folder at a path; None if it exists or can be made."""
    for place in (path, *path.parents):
        if bytes_of(place.name) > longest_name(place.parent):
            return f"the folder's name {_cut(place.name)!r} has {bytes_of(place.name)} bytes; choose a shorter one"
        if os.path.islink(place) and not os.path.exists(place):
            return f"{place} is a link that leads nowhere; give a folder"
        if os.path.isdir(place):
            return None
        if os.path.exists(place):
            inside = "" if place == path else f"{path} cannot be made, as "
            return f"{inside}{place} is a file; give a folder, or the path of a new one"
    return None


def _cut(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}..."
