"""What a configuration needs on disk and of the machine, checked before anything runs."""

import os
from collections.abc import Iterator
from pathlib import Path

from wsss_core.datasets.index_corrections import corrected_masks_in
from wsss_core.datasets.sam_masks import FORM
from wsss_core.datasets.subset import read_subset
from wsss_core.errors import UserError
from wsss_core.plan.imported_weights import unfit_weights
from wsss_core.plan.rules import Rules
from wsss_core.plan.shared_steps import unshared_steps
from wsss_core.training.event_files import tensorboard_is_installed


def check_before_a_run(rules: Rules) -> None:
    """Refuse what would fail hours later.

    Raises:
        UserError: a line for each fault.
    """
    configs = [rules.config, *(point.plan.config for point in rules.points.values())]
    faults = [fault for config in configs for fault in unfit_weights(config)]
    faults += [*unshared_steps(rules.plan), *rules.raw.unfit_settings()]
    faults += [*_unfit_thresholds(rules), *_unfit_sam_masks(rules), *_unfit_experiments(rules), *_unfit_sweeps(rules)]
    faults += [*_unfit_scored_list(rules), *_unfit_climb_scores(rules), *_unfit_runtime(rules)]
    if faults:
        raise UserError("\n".join(dict.fromkeys(faults)))


def _lacks_masks(rules: Rules) -> bool:
    """Whether the data set exists, but has no masks."""
    return not rules.has_masks and os.path.isdir(rules.raw_root)


def _where_masks(rules: Rules) -> str:
    return " and ".join(map(str, rules.raw.mask_inputs()))


def _unfit_thresholds(rules: Rules) -> Iterator[str]:
    for artifact in rules.plan.artifacts("threshold"):
        maps, best_on = artifact.upstream["maps"], artifact.parameters["best_on"]
        of_seed = maps.stage == "cams"
        key = f"cams.{maps.variant}.threshold" if of_seed else "affinities: pseudo_labels.background.threshold"
        if best_on == "subset":
            yield from _unfit_subset(key, artifact.parameters["subset"])
        if best_on is not None and _lacks_masks(rules):
            yield (
                f"{key}: best_on needs masks, but there are none: {_where_masks(rules)} is missing; give a number, or "
                "'rule: mean_and_deviation', which needs no masks"
            )


def _unfit_experiments(rules: Rules) -> Iterator[str]:
    configs = [rules.config, *(point.plan.config for point in rules.points.values())]
    for name, experiment in [item for config in configs for item in config.experiments.items()]:
        chosen = experiment.masks_of
        if chosen is not None and chosen.folder is not None:
            if not corrected_masks_in(Path(chosen.folder)):
                yield (
                    f"experiments.{name}.masks_of.folder: there is no mask in {chosen.folder}, which must have "
                    "<image id>.png; `python -m wsss_core labels import` makes such a folder"
                )
        elif chosen is not None:
            yield from _unfit_subset(f"experiments.{name}.masks_of", chosen.source)
        corrected = chosen is not None and chosen.folder is not None
        of_data_set = {"labels": experiment.labels == "masks" and not corrected, "masks_of": chosen and not corrected}
        for key, used in of_data_set.items():
            if used and _lacks_masks(rules):
                yield f"experiments.{name}.{key}: needs masks, but there are none: {_where_masks(rules)} is missing"


def _unfit_sam_masks(rules: Rules) -> Iterator[str]:
    configs = [rules.config, *(point.plan.config for point in rules.points.values())]
    for config in configs:
        for name in {experiment.affinity: None for experiment in config.experiments.values() if experiment.affinity}:
            masks = config.affinities[name].pseudo_labels.sam_masks
            if masks is not None and not (os.path.isdir(masks.folder) and os.listdir(masks.folder)):
                yield (
                    f"affinities.{name}.pseudo_labels.sam_masks.folder: there are no masks in {masks.folder}, which "
                    f"must have {FORM}"
                )


def _unfit_scored_list(rules: Rules) -> Iterator[str]:
    for file in rules.scored_list if os.path.isdir(rules.raw_root) else ():
        yield from _unfit_subset("dataset.score_on", file)


def _unfit_climb_scores(rules: Rules) -> Iterator[str]:
    for artifact in rules.plan.climb_scores.values() if _lacks_masks(rules) else ():
        yield (
            f"cams.{artifact.variant}.score_every_step: needs masks, but there are none: {_where_masks(rules)} is "
            "missing; leave it out, or set it to false"
        )


def _unfit_runtime(rules: Rules) -> Iterator[str]:
    if rules.config.runtime.tensorboard and not tensorboard_is_installed():
        yield "runtime.tensorboard: the package is not installed; `pip install tensorboard`, or leave the key out"


def _unfit_sweeps(rules: Rules) -> Iterator[str]:
    for name in rules.sweeps if _lacks_masks(rules) else ():
        yield (
            f"sweeps.{name}: needs masks to score with, but there are none: {_where_masks(rules)} is missing; "
            "leave it out, or write its points as experiments"
        )


def _unfit_subset(key: str, file: str) -> Iterator[str]:
    try:
        read_subset(Path(file))
    except UserError as error:
        yield f"{key}: {error}"
