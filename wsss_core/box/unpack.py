"""From a box to a results folder, as if everything were made there. A box is not trusted: all of it is checked."""

import hashlib
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path
from typing import Any

import yaml

from wsss_core.box.as_made import as_made, made_besides, times_as_made
from wsss_core.box.contents import (
    ARTIFACTS,
    AT_THE_TOP,
    CARD,
    DESCRIPTION,
    FORMAT,
    NEEDED,
    OVERVIEW,
    SETTINGS,
    VERSION,
    check_name,
    digest_of,
)
from wsss_core.box.one_experiment import needed_files, packed_artifacts
from wsss_core.errors import UserError
from wsss_core.files.atomic import TEMPORARY_MARK, atomic_path, temporary_end, write_text
from wsss_core.files.writable import check_file_can_be_written
from wsss_core.jobs.progress import progress
from wsss_core.plan.artifacts import own_files
from wsss_core.plan.experiments import listed_links, relative_links
from wsss_core.plan.rules import Rules, directories

LARGEST_TEXT = 1 << 26
"""Most bytes of the description and of the settings."""
BLOCK = 1 << 20


def unpack(box: Path, folder: Path, results: str = "results") -> Path:
    """Put a box's files where Snakemake looks for them.

    Everything is checked before anything is written. Files appear one by one, each whole; after a kill, the same call
    continues. Existing results stay as they are.

    Args:
        box: the archive.
        folder: the folder that Snakemake runs in.
        results: the folder of all results, relative to ``folder``; it becomes part of the settings.

    Returns:
        The file of settings: ``<experiment>.yaml`` in ``folder``.

    Raises:
        UserError: the file is damaged, is not a box, or contains what no box has; or an existing file differs.
    """
    box, here = box.absolute(), Path.cwd()
    os.chdir(folder)  # paths in settings are relative to the folder that Snakemake runs in
    try:
        with zipfile.ZipFile(box) as archive:
            description = _checked_description(box, archive)
            settings = _settings(box, archive, description, results)
            return folder / _placed(box, archive, description, settings)
    except FileNotFoundError:
        raise UserError(f"{box}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{box}: is a folder, not a box") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise UserError(f"{box}: is not a box, or is damaged ({error})") from error
    finally:
        os.chdir(here)


def _placed(box: Path, archive: zipfile.ZipFile, description: dict[str, Any], settings: dict[str, Any]) -> Path:
    rules = Rules(settings)
    experiment = str(description.get("experiment"))
    if list(rules.plan.experiments) != [experiment]:
        raise UserError(f"{box}: its settings have other experiments than '{experiment}'")
    _check_complete(box, rules, description)
    targets = _targets(box, rules, description)
    configuration = Path(f"{experiment}.yaml")
    text = yaml.safe_dump(settings, sort_keys=True)
    _check_free(targets, description, configuration, text)
    _check_links(rules, experiment)
    listed = description["files"]
    for name in progress(sorted(listed), "Checking"):
        _check_content(box, archive, name, listed[name]["sha256"])
    _remove_leftovers([*targets.values(), configuration, *made_besides(rules, experiment)])
    times = times_as_made(rules.plan, targets.values())
    for name, target in progress(sorted(targets.items()), "Unpacking"):
        if not target.exists():
            _extract(box, archive, name, target, listed[name]["sha256"], times[target])
    overview = archive.read(OVERVIEW) if OVERVIEW in listed else None
    as_made(rules, experiment, _text(box, archive, CARD, listed[CARD]["sha256"]), overview, targets.values())
    if not configuration.exists():
        write_text(configuration, text)
    return configuration


def _check_complete(box: Path, rules: Rules, description: dict[str, Any]) -> None:
    """Refuse a box that lacks what its settings ask for: Snakemake would start to train."""
    for artifact in packed_artifacts(rules.plan, bool(description.get("with_maps"))):
        for file in own_files(artifact):
            name = f"{ARTIFACTS}/{artifact.stage}/{artifact.name}/{file}"
            if name not in description["files"]:
                raise UserError(
                    f"{box}: lacks {name}, which its settings ask for; another release of this program packed it, or "
                    "somebody changed it. Nothing was written"
                )


def _check_links(rules: Rules, experiment: str) -> None:
    """Refuse to give an experiment's name to other results."""
    links = rules.plan.folder / "experiments" / experiment / "links.json"
    found = listed_links(links)
    if found is not None and found != relative_links(links, directories(rules.plan.experiments[experiment])):
        raise UserError(
            f"{links.parent}: exists already, and links to results of other settings; unpack into another folder "
            "(--folder, --results). Nothing was written"
        )


def _check_content(box: Path, archive: zipfile.ZipFile, name: str, sha256: str) -> None:
    with archive.open(name) as source:
        if hashlib.file_digest(source, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]
            raise UserError(f"{box}: {name} is damaged; copy or download the box again. Nothing was written")


def _remove_leftovers(targets: list[Path]) -> None:
    """Remove what a killed call started to write: files with a temporary name for one of these targets."""
    by_folder: dict[Path, set[str]] = {}
    for target in targets:
        by_folder.setdefault(target.parent, set()).add(temporary_end(target))
    for folder, ends in by_folder.items():
        for file in folder.glob(f"{TEMPORARY_MARK}*"):
            if file.is_symlink() or file.name.removeprefix(TEMPORARY_MARK).partition("-")[2] in ends:
                file.unlink(missing_ok=True)


def _checked_description(box: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """``box.json``, after a check of all that the archive says about its files.

    Raises:
        UserError: no box has a file of that name, kind or size, or the list differs from the archive.
    """
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.orig_filename
        try:
            check_name(name)
        except UserError as error:
            raise UserError(f"{box}: {error}; nothing was written") from error
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or mode & 0o111 or entry.is_dir():
            raise UserError(f"{box}: {name!r} is a link, a folder or a program; nothing was written")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise UserError(f"{box}: {name!r} is compressed or encrypted, as in no box; nothing was written")
        if name in entries:
            raise UserError(f"{box}: has {name!r} twice; nothing was written")
        if entry.filename != name:
            raise UserError(f"{box}: {name!r} has two names; nothing was written")
        entries[name] = entry
    description = _json(box, archive, DESCRIPTION, entries)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise UserError(f"{box}: is not a box of `python -m wsss_core pack`")
    if description.get("version") != VERSION:
        raise UserError(f"{box}: is a box of version {description.get('version')}; this program reads {VERSION}")
    listed: Any = description.get("files")
    sizes = {name: entry.file_size for name, entry in entries.items() if name != DESCRIPTION}
    try:
        known = {name: entry["bytes"] for name, entry in listed.items()}
        right = known == sizes and all(len(entry["sha256"]) == 64 for entry in listed.values())
    except (AttributeError, KeyError, TypeError):
        right = False
    if not right or not {SETTINGS, CARD}.issubset(sizes):
        raise UserError(f"{box}: has other files than its {DESCRIPTION} lists; it is damaged")
    return description


def _json(box: Path, archive: zipfile.ZipFile, name: str, entries: dict[str, zipfile.ZipInfo]) -> Any:
    if name not in entries:
        raise UserError(f"{box}: is not a box of `python -m wsss_core pack`: it has no {name}")
    try:
        return json.loads(_text(box, archive, name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{box}: its {name} is damaged ({error})") from error


def _text(box: Path, archive: zipfile.ZipFile, name: str, sha256: str | None = None) -> str:
    """A file's text, which must have the listed digest."""
    if archive.getinfo(name).file_size > LARGEST_TEXT:
        raise UserError(f"{box}: its {name} is too large to be right")
    content = archive.read(name)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{box}: its {name} is damaged; copy or download the box again")
    try:
        return content.decode("utf-8")
    except ValueError as error:
        raise UserError(f"{box}: its {name} is damaged ({error})") from error


def _settings(box: Path, archive: zipfile.ZipFile, description: dict[str, Any], results: str) -> dict[str, Any]:
    """The settings in the box, with this machine's folder of results; programs that they name must exist.

    Raises:
        UserError: they are not settings, or a program is missing or differs.
    """
    text = _text(box, archive, SETTINGS, description["files"][SETTINGS]["sha256"])
    try:
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{box}: its {SETTINGS} is damaged ({error})") from error
    if not isinstance(settings, dict):
        raise UserError(f"{box}: its {SETTINGS} has no settings")
    extensions = settings.get("extensions") or []
    if extensions:
        known = description.get("extensions") or {}
        for path in extensions if isinstance(extensions, list) else []:
            if not isinstance(path, str) or not Path(path).is_file() or digest_of(Path(path)) != known.get(path):
                raise UserError(
                    f"{box}: needs the program {path!r}, which no box contains; ask the person who packed it for the "
                    "file, read it, put it there, and unpack again"
                )
    return {**settings, "runtime": {"results": results}}


def _targets(box: Path, rules: Rules, description: dict[str, Any]) -> dict[str, Path]:
    """Where files go, by name in the box: only into folders of artifacts that the settings plan."""
    planned = {f"{ARTIFACTS}/{a.stage}/{a.name}": a for a in rules.plan.artifacts()}
    named = needed_files(rules.plan.config)
    chosen = (experiment.masks_of for experiment in rules.config.experiments.values())
    folders = tuple(f"{masks.folder.rstrip('/')}/" for masks in chosen if masks is not None and masks.folder)
    targets: dict[str, Path] = {}
    for name in description["files"]:
        if name in AT_THE_TOP:
            continue
        parts = name.split("/")
        if parts[0] == NEEDED:
            path = "/".join(parts[1:])
            if path not in named and not path.startswith(folders):
                raise UserError(f"{box}: has {name}, which its settings do not name; it was changed")
            targets[name] = Path(path)
            continue
        artifact = planned.get("/".join(parts[:3]))
        if artifact is None:
            raise UserError(
                f"{box}: has {name}, which is not what its settings ask for; another release of this program packed "
                "it, or somebody changed it"
            )
        targets[name] = artifact.directory.joinpath(*parts[3:])
    inside = Path.cwd().resolve()
    for target in targets.values():
        if not target.resolve().is_relative_to(inside) and not target.resolve().is_relative_to(
            rules.plan.folder.resolve()
        ):
            raise UserError(f"{box}: {target} is behind a link that leads elsewhere; nothing was written")
    return targets


def _check_free(targets: dict[str, Path], description: dict[str, Any], configuration: Path, text: str) -> None:
    """Refuse to mix the box with other results, or to fill the disk."""
    for name, target in targets.items():
        if target.exists() and target.name != "provenance.json":
            listed = description["files"][name]
            if target.stat().st_size != listed["bytes"] or digest_of(target) != listed["sha256"]:
                raise UserError(
                    f"{target}: exists already, and differs from that in the box; unpack into another folder "
                    "(--folder, --results). Nothing was written"
                )
    check_file_can_be_written(configuration)
    if configuration.exists() and configuration.read_text(encoding="utf-8", errors="replace") != text:
        raise UserError(f"{configuration}: exists already, with other settings; rename it. Nothing was written")
    wanted = sum(description["files"][name]["bytes"] for name, target in targets.items() if not target.exists())
    free = shutil.disk_usage(".").free
    if wanted > free:
        raise UserError(f"the box needs {wanted / 2**20:.0f} MiB, but {free / 2**20:.0f} are free; make space")


def _extract(box: Path, archive: zipfile.ZipFile, name: str, target: Path, sha256: str, time: int) -> None:
    found = hashlib.sha256()
    with atomic_path(target) as temporary:
        with archive.open(name) as source, open(temporary, "wb") as copy:
            while block := source.read(BLOCK):
                found.update(block)
                copy.write(block)
        if found.hexdigest() != sha256:
            raise UserError(f"{box}: {name} is damaged; copy or download the box again")
        os.utime(temporary, ns=(time, time))
