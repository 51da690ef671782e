"""From an experiment's results to one archive: the same results give the same bytes."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from wsss_core.box.contents import (
    ARTIFACTS,
    CARD,
    DESCRIPTION,
    FORMAT,
    NEEDED,
    OVERVIEW,
    SCORES,
    SETTINGS,
    SUFFIXES,
    VERSION,
    can_be_packed,
    check_name,
    digest_of,
)
from wsss_core.box.model_card import model_card
from wsss_core.box.one_experiment import needed_files, packed_artifacts, scores_are_there, settings_of
from wsss_core.config.loading import unknown_name
from wsss_core.config.root import Config
from wsss_core.config.stages import STAGES
from wsss_core.datasets.index import read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.shrinking import FOLDER as SHRUNKEN
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path, scratch_folder, write_json, write_text
from wsss_core.jobs.progress import Progress
from wsss_core.plan.artifacts import Artifact, own_files
from wsss_core.plan.descriptions import described, described_maps
from wsss_core.plan.plan import Plan
from wsss_core.plan.rules import Rules
from wsss_core.plan.weights_in_words import sources_of_weights
from wsss_core.report.overview import draw_overview
from wsss_core.report.score_table import score_table, write_table

NOT_HANDED_ON = ("host", "user")
"""What a job's provenance says about the machine and its user."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class Licences:
    """The licences of a box, in the words of the person who packs it; None: not stated."""

    weights: str | None = None
    data: str | None = None
    author: str | None = None


def pack(config: Config, experiment: str, box: Path, licences: Licences, with_maps: bool) -> dict[str, Any]:
    """Write a box.

    Args:
        config: a checked configuration.
        experiment: a name in it; all its results must exist.
        box: the .zip file to write.
        licences: what the box says about licences.
        with_maps: also pack class maps, label maps and generated images, so that others can build further experiments
            on them; never photographs, except the few that recorded climbs and erasings show.

    Returns:
        The box's description, as in its ``box.json``.

    Raises:
        UserError: there is no such experiment, its results are not complete, or the disk is full.
    """
    if experiment not in config.experiments:
        raise UserError(unknown_name(("NAME",), "no such experiment", experiment, config.experiments))
    rules = _rules_of_one(config, experiment)
    plan = rules.plan
    _check_complete(rules, config, experiment, with_maps)
    rules.has_masks |= scores_are_there(plan)  # in an unpacked box, whose data set is elsewhere
    with scratch_folder(box.absolute().parent) as scratch:
        files = _files_of_artifacts(plan, with_maps, scratch)
        needed = [path for path in needed_files(plan.config) if can_be_packed(path)]
        for path in needed:
            if not Path(path).is_file():
                raise UserError(f"{path}: is named in the settings, but there is no such file")
            files[f"{NEEDED}/{path}"] = Path(path)
        write_text(scratch / SETTINGS, yaml.safe_dump(settings_of(config, experiment), sort_keys=True))
        row = described(rules, plan.config, experiment, plan.experiments[experiment])
        table = score_table({experiment: row})
        write_table(table, scratch / SCORES)
        _draw_overview(rules, experiment, scratch / OVERVIEW)
        description = {
            "format": FORMAT,
            "version": VERSION,
            "experiment": experiment,
            "dataset": plan.config.dataset.name,
            "classes": list(read_index(plan.dataset.path("index.csv"), plan.dataset.path("classes.json")).classes),
            "trained_on": row["labels"],
            "weights_go_back_to": sorted(set().union(*map(sources_of_weights, plan.experiments[experiment].values()))),
            "licences": asdict(licences),
            "with_maps": with_maps,
            "artifacts": {role: artifact.name for role, artifact in plan.experiments[experiment].items()},
            "not_in_the_box": [path for path in needed_files(plan.config) if path not in needed],
            "extensions": {path: digest_of(Path(path)) for path in plan.config.extensions},
        }
        write_text(scratch / CARD, model_card(description, table, plan.experiments[experiment]))
        files |= {name: scratch / name for name in (SETTINGS, SCORES, OVERVIEW, CARD)}
        _write(box, files, description, scratch)
    return description


def _rules_of_one(config: Config, experiment: str) -> Rules:
    """The plan of only this experiment, in this results folder."""
    raw = {**settings_of(config, experiment), "runtime": {"results": str(config.runtime.results)}}
    return Rules(raw)


def _check_complete(rules: Rules, config: Config, experiment: str, with_maps: bool) -> None:
    plan = rules.plan
    of_all = Plan(config).experiments[experiment]
    for role, artifact in plan.experiments[experiment].items():
        if artifact.digest != of_all[role].digest:
            raise RuntimeError(f"the settings of only '{experiment}' give another {role} than those of all experiments")
    links = plan.folder / "experiments" / experiment / "links.json"
    missing = None if links.is_file() else links
    for artifact in packed_artifacts(plan, with_maps):
        files = rules.final_files(artifact) if with_maps else map(artifact.path, own_files(artifact))
        missing = missing or next((Path(file) for file in files if not Path(file).is_file()), None)
    if missing is not None:
        raise UserError(f"{missing}: is not made yet; run `snakemake` to the end first")


def _files_of_artifacts(plan: Plan, with_maps: bool, scratch: Path) -> dict[str, Path]:
    """The files of all artifacts, by their name in the box."""
    files: dict[str, Path] = {}
    for artifact in packed_artifacts(plan, with_maps):
        own = [*own_files(artifact), *filter(None, [STAGES[artifact.stage].scores_file]), "provenance.json"]
        found = [artifact.directory / name for name in own if (artifact.directory / name).is_file()]
        if with_maps:
            inside = (file for file in artifact.directory.rglob("*") if file.is_file() and file.suffix in SUFFIXES)
            found += [file for file in inside if _may_be_packed(artifact, file.relative_to(artifact.directory))]
        for file in found:
            name = f"{ARTIFACTS}/{artifact.stage}/{artifact.name}/{file.relative_to(artifact.directory).as_posix()}"
            if file.name == "provenance.json":
                record = json.loads(file.read_text(encoding="utf-8"))
                for job in record.get("jobs", {}).values():
                    for key in NOT_HANDED_ON:
                        job.pop(key, None)
                file = scratch / f"{artifact.name}.provenance.json"
                write_json(file, record)
            files[name] = file
    return files


def _may_be_packed(artifact: Artifact, path: Path) -> bool:
    """Whether an artifact's file is neither hidden nor a photograph: the smaller copies are in the data set's."""
    photograph = artifact.stage == "dataset" and path.parts[0] == SHRUNKEN
    return not photograph and not any(part.startswith(".") for part in path.parts)


def _draw_overview(rules: Rules, experiment: str, picture: Path) -> None:
    dataset = rules.plan.dataset
    masks = rules.plan.masks.path("masks.csv")
    index = read_index(dataset.path("index.csv"), dataset.path("classes.json")).split("train")
    maps = described_maps(rules, ("cams", "pseudo_labels"))
    drawn = [
        *index.image_paths,
        *(Path(file) for stages in maps.values() for files in stages.values() for file in files),
    ]
    missing = next((file for file in drawn if not file.is_file()), None)
    kept = rules.plan.folder / "experiments" / experiment / OVERVIEW
    if missing is None:
        draw_overview(index, read_label_manifest([masks]) if Path(masks).exists() else {}, maps, picture)
    elif kept.is_file():  # from a box: images and maps are elsewhere
        shutil.copyfile(kept, picture)
    else:
        raise UserError(f"{missing}: is missing, and the box's {OVERVIEW} shows it; run `snakemake` to the end first")


def _write(box: Path, files: Mapping[str, Path], description: dict[str, Any], scratch: Path) -> None:
    listed = {}
    counter = Progress("Packing", 2 * len(files), unit="files")
    for name, file in sorted(files.items()):
        try:
            check_name(name)
        except UserError as error:
            raise UserError(f"{file}: cannot be packed: the box {error}") from error
        listed[name] = {"bytes": file.stat().st_size, "sha256": digest_of(file)}
        counter.advance()
    description["files"] = listed
    write_json(scratch / DESCRIPTION, description)
    with atomic_path(box) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, file in [(DESCRIPTION, scratch / DESCRIPTION), *sorted(files.items())]:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            entry.file_size = file.stat().st_size
            with open(file, "rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, BLOCK)
            counter.advance()
    counter.close()
