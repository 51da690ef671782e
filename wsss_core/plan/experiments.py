"""Links from an experiment's name to its artifacts, and a list of what no experiment needs."""

import errno
import json
import logging
import os
import secrets
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from glob import escape
from pathlib import Path

from wsss_core.config.stages import STAGES
from wsss_core.errors import UserError
from wsss_core.files.atomic import TEMPORARY_MARK, unfinished, write_json

JOB_RECORDS = ("logs", "benchmarks")
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
log = logging.getLogger(__name__)


def link_experiment(links_json: Path, artifacts: Mapping[str, str]) -> None:
    """Make relative links ``<stage>`` -> artifact next to ``links_json``, which lists them.

    Links of an earlier configuration of the experiment are replaced or removed.

    Args:
        links_json: ``results/<dataset>/experiments/<experiment>/links.json``.
        artifacts: the directory of each stage's artifact.
    """
    folder = links_json.parent
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        # A temporary link belongs to another run that links the same experiment.
        if link.is_symlink() and link.name not in artifacts and not link.name.startswith(TEMPORARY_MARK):
            link.unlink(missing_ok=True)
    links = relative_links(links_json, artifacts)
    for stage, target in links.items():
        _link(folder / stage, target)
    write_json(links_json, links)


def relative_links(links_json: Path, artifacts: Mapping[str, str]) -> dict[str, str]:
    """The content of ``links_json``: by stage, where its link leads."""
    return {stage: os.path.relpath(directory, links_json.parent) for stage, directory in artifacts.items()}


def listed_links(links_json: Path) -> dict[str, str] | None:
    """What the file lists now; None if it lists nothing."""
    try:
        listed = json.loads(links_json.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return listed if isinstance(listed, dict) else None


def has_other_links(links_json: Path, artifacts: Mapping[str, str]) -> bool:
    """Whether a list, or a link next to it, does not lead to ``artifacts`` (see :func:`link_experiment`).

    False if there is no list. A link job that was killed leaves the earlier list next to new links.
    """
    listed, wanted = listed_links(links_json), relative_links(links_json, artifacts)
    if listed is None:
        return False
    return listed != wanted or not existing_links(links_json.parent).items() <= wanted.items()


def existing_links(folder: Path) -> dict[str, str]:
    """The links in an experiment's folder, by stage, without those that a job is making."""
    links = {link.name: os.readlink(link) for link in folder.iterdir() if link.is_symlink()}
    return {name: target for name, target in links.items() if not name.startswith(TEMPORARY_MARK)}


def _link(link: Path, target: str) -> None:
    """Make a symbolic link, or replace an earlier one."""
    temporary = link.with_name(f"{TEMPORARY_MARK}{link.name}-{secrets.token_hex(6)}")
    unfinished.add(temporary)
    try:
        temporary.symlink_to(target)
        os.replace(temporary, link)
    except IsADirectoryError:
        raise UserError(f"{link}: is a folder, but must be a link to {target}; move it away") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        log.warning("%s: this file system has no symbolic links; the link would lead to %s", link, target)
    finally:
        temporary.unlink(missing_ok=True)
        unfinished.discard(temporary)


def unreferenced(
    folder: Path, artifacts: Collection[str], experiments: Collection[str], sweeps: Collection[str]
) -> list[Path]:
    """What is in a data set's results, but belongs to no experiment or sweep of the configuration.

    Args:
        folder: ``results/<dataset>``.
        artifacts: directories that the configuration's experiments and sweeps refer to.
        experiments: names of the configuration's experiments and of its sweeps' points.
        sweeps: names of the configuration's sweeps.

    Returns:
        Directories of artifacts, of experiments' links and of sweeps' tables, sorted.
    """
    referred = {Path(directory) for directory in artifacts}
    stages = [folder / stage for stage in STAGES]
    found = [path for stage in stages if stage.is_dir() for path in stage.iterdir() if path.is_dir()]
    links = [path for path in (folder / "experiments").glob("*") if path.name not in experiments]
    tables = [path for path in (folder / "sweeps").glob("*") if path.name not in sweeps]
    return sorted([path for path in found if path not in referred] + links + tables)


def _delete_records(folder: Path, artifact: Path) -> None:
    """Delete the logs (or benchmarks) of the jobs that made an artifact, an experiment's links or a sweep's table."""
    rule = {"experiments": "link_experiment", "sweeps": "report_sweep"}.get(artifact.parent.name)
    if rule is not None:
        files = [folder / rule / f"{artifact.name}.log"]
    else:  # the name ends in the artifact's digest, so only its own records match
        files = list(folder.rglob(f"*{escape(artifact.name)}.*"))
    for file in files:
        file.unlink(missing_ok=True)


def prune(
    folder: Path,
    artifacts: Collection[str],
    experiments: Collection[str],
    sweeps: Collection[str],
    delete: bool,
    configfiles: Sequence[Path | str] = (),
) -> None:
    """Print what :func:`unreferenced` finds, with sizes, or delete it, with its logs.

    Args:
        folder: ``results/<dataset>``.
        artifacts: directories that the configuration's experiments and sweeps refer to.
        experiments: names of the configuration's experiments and of its sweeps' points.
        sweeps: names of the configuration's sweeps.
        delete: delete instead of only listing.
        configfiles: the files given on the command line: without them the printed command would delete the results of
            another configuration.
    """
    paths = unreferenced(folder, artifacts, experiments, sweeps)
    for path in paths:
        size = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
        print(f"{'deleted' if delete else 'unreferenced'}  {size / 2**20:8.1f} MiB  {path}")
        if delete:
            # Renamed first: an interrupted deletion then leaves no half artifact.
            doomed = path.with_name(f"{TEMPORARY_MARK}{path.name}")
            path.rename(doomed)
            shutil.rmtree(doomed)
            for record in JOB_RECORDS:
                _delete_records(folder / record, path)
    if not paths:
        print("nothing to prune: every artifact belongs to an experiment of the configuration")
    elif not delete:
        # One option for all files: of several, Snakemake takes only the last.
        options = ["--configfile", *map(str, configfiles)] if configfiles else []
        command = shlex.join(["snakemake", "prune", *options])
        print(f"to delete these: {command} --config runtime='{{prune: delete}}'")
