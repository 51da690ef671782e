"""Links from an experiment's name to its artifacts, and a list of what no experiment needs."""

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from glob import escape
from pathlib import Path

from wsss_core.config.stages import STAGES
from wsss_core.errors import UserError
from wsss_core.files.atomic import TEMPORARY_MARK, atomic_path, unfinished, write_json
from wsss_core.plan.artifacts import DIGEST_LENGTH

JOB_RECORDS = ("logs", "benchmarks")
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
_LIST = re.compile(rf"links-[0-9a-f]{{{DIGEST_LENGTH}}}\.json")
_OUTDATED = 1
"""Seconds since 1970: when an outdated list says that it was written, so that Snakemake writes it again."""
log = logging.getLogger(__name__)


def links_file(folder: Path, experiment: str, artifacts: Mapping[str, str]) -> Path:
    """The file that lists an experiment's links: ``<folder>/experiments/<experiment>/links-<digest>.json``.

    Its name has a digest of the artifacts' names, so that Snakemake sees from the files alone when an experiment has
    other artifacts than before, and makes the summary and the report again. Its own records may be in another folder,
    as with a colleague's clone that uses the same results.

    Args:
        folder: ``results/<dataset>``.
        experiment: its name.
        artifacts: the directory of each stage's artifact.
    """
    names = {stage: os.path.basename(directory) for stage, directory in artifacts.items()}
    digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()[:DIGEST_LENGTH]
    return folder / "experiments" / experiment / f"links-{digest}.json"


def link_experiment(links_json: Path, artifacts: Mapping[str, str]) -> None:
    """Make relative links ``<stage>`` -> artifact next to ``links_json``, which lists them.

    Links of another configuration of the experiment are replaced or removed. Its list is outdated, not deleted: a
    colleague's run that is under way may need it.

    Args:
        links_json: see :func:`links_file`.
        artifacts: the directory of each stage's artifact.
    """
    folder = links_json.parent
    folder.mkdir(parents=True, exist_ok=True)
    _outdate_others(links_json)  # first: whatever happens now, they are no longer right
    for link in folder.iterdir():
        # A temporary link belongs to another run that links the same experiment.
        if link.is_symlink() and link.name not in artifacts and not link.name.startswith(TEMPORARY_MARK):
            link.unlink(missing_ok=True)
    links = relative_links(links_json, artifacts)
    for stage, target in links.items():
        _link(folder / stage, target)
    write_json(links_json, links)
    _outdate_others(links_json)  # again: another job may have linked the same experiment meanwhile


def relative_links(links_json: Path, artifacts: Mapping[str, str]) -> dict[str, str]:
    """The content of ``links_json``: by stage, where its link leads."""
    return {stage: os.path.relpath(directory, links_json.parent) for stage, directory in artifacts.items()}


def current_lists(folder: Path) -> list[Path]:
    """The lists of an experiment's links in its folder that are not outdated; usually one."""
    if not folder.is_dir():
        return []
    lists = [path for path in folder.iterdir() if _LIST.fullmatch(path.name) and path.is_file()]
    return sorted(path for path in lists if path.stat().st_mtime > _OUTDATED)


def _outdate_others(links_json: Path) -> None:
    """Make other lists older than all artifacts; replaced, as others' files cannot be touched."""
    for other in current_lists(links_json.parent):
        if other != links_json:
            with atomic_path(other) as temporary:
                temporary.write_bytes(other.read_bytes())
                os.utime(temporary, (_OUTDATED, _OUTDATED))


def listed_links(links_json: Path) -> dict[str, str] | None:
    """What such a file lists now; None if it lists nothing."""
    try:
        listed = json.loads(links_json.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return listed if isinstance(listed, dict) else None


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
    name = escape(artifact.name)
    if artifact.parent.name == "experiments":
        files = list((folder / "link_experiment").glob(f"{name}-{DIGEST_LENGTH * '[0-9a-f]'}.log"))
    elif artifact.parent.name == "sweeps":
        files = [folder / "report_sweep" / f"{artifact.name}.log"]
    else:  # the name ends in the artifact's digest, so only its own records match
        files = list(folder.rglob(f"*{name}.*"))
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
