"""Scores of all methods on a folder of photographs with masks, over several seeds.

``python -m benchmarks.photographs DIR`` runs the class maps of the five methods of ``configs/voc12-laptop.yaml`` on
``DIR`` (images/, labels.csv, masks/, perhaps splits.csv), and a control: an ordinary classifier on the same trunk that
starts where SeeNet, CGNet and AEFT start, and trains for as many epochs. AdvCAM's control is the CAM of the same
classifier at AdvCAM's scales. The recipe for a folder on a laptop (``configs/folder-cpu.yaml``) goes on to IRN, pseudo
labels and DeepLab, and the same DeepLab is trained on the masks. Everything runs through the workflow itself, so a
second call computes nothing again. ``--only recipe cgnet`` leaves out what is not named; controls and the DeepLab on
masks come with what they are compared with.

Seeds change the training order, augmentation and new layers; images and pretrained weights are the same. Differences
are paired by seed. Thresholds are those of the recipe's rule, which uses no masks, and the best ones on the training
masks, an oracle.
"""

import argparse
import copy
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.methods import REPOSITORY, run
from benchmarks.tables import machine, rows_of, spread
from wsss_core.config import load_config, read_yaml
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.files.atomic import write_text
from wsss_core.plan.plan import Plan

METHODS = ("cam", "advcam", "seenet", "cgnet", "aeft")
"""Experiments of ``configs/voc12-laptop.yaml`` that are compared."""
CONTROLS = {"advcam": "cam_of_advcam", "seenet": "control", "cgnet": "control", "aeft": "control"}
"""By method, the experiment that it has to beat."""
RECIPE = "recipe"
"""The experiment of ``configs/folder-cpu.yaml``."""
COLUMNS = {
    "oracle": "seed, best threshold",
    "rule": "seed, threshold by the rule",
    "refined_seed": "+ CRF",
    "walk": "IRN: walk",
    "pseudo_labels": "+ CRF: pseudo labels",
    "val": "DeepLab, val",
}
"""The scores and their columns' headings. Only the first one uses masks."""
Scores = dict[str, dict[str, float]]
"""By experiment, mIoU in percent by key of ``COLUMNS``, and the two thresholds, ``threshold`` and ``best``."""


def configuration(
    methods: Mapping[str, Any],
    recipe: Mapping[str, Any],
    folder: Path,
    seed: int,
    results: Path,
    only: Sequence[str] = (RECIPE, *METHODS),
) -> dict[str, Any]:
    """The configuration of the whole comparison, for one seed.

    Args:
        methods: the content of ``configs/voc12-laptop.yaml``.
        recipe: the content of ``configs/folder-cpu.yaml``: its class maps are AdvCAM's of ``methods``, balanced.
        folder: the photographs.
        seed: of all trainings.
        results: folder for all results.
        only: what is compared, of ``RECIPE`` and ``METHODS``.
    """
    config = copy.deepcopy(dict(methods))
    name = folder.resolve().name
    config["dataset"] = {**copy.deepcopy(recipe["dataset"]), "name": name, "root": str(folder.resolve())}
    config["runtime"] = {"device": "cpu", "shards": 1, "results": str(results)}
    config["resources"] = {rule: {**asked, "threads": 1} for rule, asked in methods["resources"].items()}
    config["affinities"], config["segmenters"] = copy.deepcopy((recipe["affinities"], recipe["segmenters"]))
    for section in ("classifiers", "affinities", "segmenters"):
        for variant in config[section].values():
            variant["optimisation"]["seed"] = seed
    classifiers, cams = config["classifiers"], config["cams"]
    (epochs,) = {classifiers[method]["optimisation"]["epochs"] for method in METHODS if method in classifiers}
    classifiers["control"] = {"extends": "ordinary", "start_from": "ordinary", "optimisation": {"epochs": epochs}}
    cams["control"] = {"extends": "cam", "classifier": "control"}
    cams["cam_of_advcam"] = {"extends": "cam", "scales": cams["advcam"]["scales"]}
    cams[RECIPE] = copy.deepcopy(recipe["cams"]["advcam"])
    ends = {"segmenter": "deeplab"}
    whole = {RECIPE: {"cams": RECIPE, "affinity": "irn", **ends}, "full": {"labels": "masks", **ends}}
    chosen = [name for name in METHODS if name in only]
    compared = dict.fromkeys([*chosen, *(CONTROLS[name] for name in chosen if name in CONTROLS)])
    config["experiments"] = {**(whole if RECIPE in only else {}), **{name: {"cams": name} for name in compared}}
    config["report"] = {"climbs": 0}
    return config


def scores_of_seed(config: Mapping[str, Any]) -> Scores:
    """The scores of a finished configuration."""
    plan = Plan(load_config(config))
    scores: Scores = {}
    for name, stages in plan.experiments.items():
        found: dict[str, float] = {}
        if "cams" in stages:
            rows = [row for row in rows_of(stages["cams"].path("scores.csv")) if float(row["threshold"]) > 0]
            best = max(rows, key=lambda row: float(row["miou"]))
            found["threshold"] = read_threshold(stages["seed_threshold"].path("threshold.json"))["threshold"]
            found["best"], found["oracle"] = float(best["threshold"]), 100 * float(best["miou"])
            found["rule"] = _at(rows, found["threshold"])
        if "walked_cams" in stages and "threshold" in stages:
            rows = rows_of(stages["walked_cams"].path("scores.csv"))
            found["walk"] = _at(rows, read_threshold(stages["threshold"].path("threshold.json"))["threshold"])
        for key, stage in (("refined_seed", "refined_seeds"), ("pseudo_labels",) * 2, ("val", "predictions")):
            if stage in stages:
                found[key] = 100 * float(rows_of(stages[stage].path("labels.scores.csv"))[0]["miou"])
        scores[name] = found
    return scores


def _at(rows: Sequence[Mapping[str, str]], threshold: float) -> float:
    """MIoU in percent at the nearest threshold."""
    return 100 * float(min(rows, key=lambda row: abs(float(row["threshold"]) - threshold))["miou"])


def report(by_seed: Mapping[int, Scores], config: Mapping[str, Any], index: Mapping[str, int]) -> str:
    """The tables as Markdown.

    Args:
        by_seed: results of :func:`scores_of_seed`.
        config: the configuration of any seed.
        index: numbers of images by split.
    """
    experiments = next(iter(by_seed.values()))
    optimisation = config["classifiers"]["ordinary"]["optimisation"]
    backbone = config["backbones"]["lite0"]
    lines = [
        f"# Scores of the methods on the photographs `{config['dataset']['name']}`",
        "",
        f"`python -m benchmarks.photographs`, {date.today()}, {machine()}. {len(by_seed)} seeds "
        f"({', '.join(map(str, by_seed))}), {index['train']} training and {index['val']} validation images of at most "
        f"{config['dataset']['long_side']} pixels; {backbone['model']} at output stride {backbone['output_stride']} "
        f"without dilation, ImageNet weights of {backbone['weights']}; the ordinary classifier trains "
        f"{optimisation['epochs']} epochs. mIoU in percent, mean ± standard deviation over seeds; differences are "
        "paired by seed. Seeds and pseudo labels are scored on the training images, DeepLab on the validation images.",
        "",
        f"| experiment | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    lines += [_row(by_seed, name) for name in experiments]
    lines += ["", "## Gain over the control", "", "Each at its best threshold, and at the rule's.", ""]
    lines += ["| method | control | gain, best thresholds | by seed | gain, the rule's | by seed |", "|" + "---|" * 6]
    for method, control in CONTROLS.items():
        if method not in experiments:
            continue
        cells = []
        for key in ("oracle", "rule"):
            gains = [found[method][key] - found[control][key] for found in by_seed.values()]
            cells += [spread(gains, "+"), " ".join(f"{gain:+.1f}" for gain in gains)]
        lines.append(f"| {method} | {control} | {' | '.join(cells)} |")
    lines += [
        "",
        "## The threshold without masks",
        "",
        "| experiment | rule | best | points lost |",
        "|---|---|---|---|",
    ]
    for name in (name for name, found in experiments.items() if "oracle" in found):
        lost = [found[name]["oracle"] - found[name]["rule"] for found in by_seed.values()]
        cells = [spread([found[name][key] for found in by_seed.values()], "", 2) for key in ("threshold", "best")]
        lines.append(f"| {name} | {' | '.join(cells)} | {spread(lost)} |")
    if RECIPE in experiments:
        shares = [100 * found[RECIPE]["val"] / found["full"]["val"] for found in by_seed.values()]
        lines += ["", f"DeepLab on pseudo labels reaches {spread(shares)} % of the same DeepLab on masks."]
    return "\n".join(lines) + "\n"


def _row(by_seed: Mapping[int, Scores], name: str) -> str:
    cells = [
        spread([found[name][key] for found in by_seed.values()]) if key in next(iter(by_seed.values()))[name] else "–"
        for key in COLUMNS
    ]
    return f"| {name} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the missing jobs and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photographs", description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of photographs with labels.csv and masks/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "benchmark")
    parser.add_argument("--only", nargs="+", choices=(RECIPE, *METHODS), default=(RECIPE, *METHODS), metavar="NAME")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    options = parser.parse_args(arguments)
    recipes = (read_yaml(REPOSITORY / "configs" / f"{name}.yaml") for name in ("voc12-laptop", "folder-cpu"))
    methods, recipe = recipes
    by_seed: dict[int, Scores] = {}
    for seed in options.seeds:
        config = configuration(methods, recipe, options.folder, seed, options.results.resolve(), options.only)
        run(config, options.results / f"photographs-seed-{seed}.yaml", options.cores)
        by_seed[seed] = scores_of_seed(config)
        rows = rows_of(Plan(load_config(config)).dataset.path("index.csv"))
        index = {split: sum(row["split"] == split for row in rows) for split in ("train", "val")}
        text = report(by_seed, config, index)
        print(text, flush=True)
    if options.write is not None:
        write_text(options.write, text)


if __name__ == "__main__":
    main()
