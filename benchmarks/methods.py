"""Scores of all methods: seeds, CRF-refined seeds, pseudo labels and segmenters, over several data seeds.

``python -m benchmarks.methods`` runs the demo's configuration on one generated data set for each seed, with controls
(ordinary classifiers trained as long as the methods that start from one) and each paper's ablations. It runs the
workflow itself, so a second call computes nothing again. It prints tables of means, standard deviations and paired
differences as Markdown, and writes them with ``--write``.

The data, the training order and all new layers change with the seed; the pretrained backbones do not, as those from
ImageNet would not. Settings were chosen on seed 0, which is not one of the default seeds.
"""

import argparse
import copy
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from benchmarks.tables import machine, rows_of, spread
from wsss_core.config import load_config, read_yaml
from wsss_core.files.atomic import write_text
from wsss_core.plan.plan import Plan

REPOSITORY = Path(__file__).parents[1]
COLUMNS = {
    "seed": "seed, best threshold",
    "fixed": "seed, fixed threshold",
    "refined": "+ CRF",
    "pseudo": "pseudo labels",
    "val": "DeepLab, val",
}
"""What is scored, and how its column is headed."""
METHODS = ("cam", "advcam", "seenet", "cgnet")
"""Experiments of the demo that are compared."""
SEEDS_ONLY = ("aeft",)
"""Methods that the demo has settings for, and no experiment: only their seeds are scored."""
FULL = "full"
"""The demo's segmenter, trained on masks."""
CONTROL = "control"
"""An ordinary classifier that starts where CGNet, SeeNet and AEFT start, and trains for as many epochs."""
CONTROLS = {"advcam": "cam", "cgnet": CONTROL, "seenet": CONTROL, "aeft": CONTROL}
"""By method, the experiment that it has to beat."""
ABLATIONS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "advcam_without_regularisation": ("advcam", {"cams": {"regularisation": 0}}),
    "advcam_without_suppression": ("advcam", {"cams": {"suppress_other_classes": False}}),
    "advcam_mask_everywhere": ("advcam", {"cams": {"mask_threshold": 0}}),
    "seenet_without_crelu": ("seenet", {"classifiers": {"reverse_background": False}}),
    "seenet_without_background_branch": ("seenet", {"classifiers": {"background_branch": False}}),
    "cgnet_class_agnostic": ("cgnet", {"classifiers": {"erasing": "class_agnostic"}}),
    "cgnet_without_erasing": ("cgnet", {"classifiers": {"erasing": "none"}}),
    "aeft_gap": ("aeft", {"classifiers": {"bins": []}}),
    "aeft_single_bin": ("aeft", {"classifiers": {"bins": [3]}}),
    "aeft_average": ("aeft", {"classifiers": {"fusion": "average"}}),
    "aeft_ungated": ("aeft", {"classifiers": {"fusion": "ungated"}}),
    "aeft_fine_to_coarse": ("aeft", {"classifiers": {"order": "fine_to_coarse"}}),
    "aeft_without_attraction": ("aeft", {"classifiers": {"attraction_weight": 0}}),
    "aeft_without_repulsion": ("aeft", {"classifiers": {"repulsion_weight": 0}}),
}
"""By name, the method and the changes of its variant by section: each disables one part of a paper's method."""


def configuration(
    demo: Mapping[str, Any],
    seed: int,
    results: Path,
    images: int | None = None,
    ablations: Iterable[str] = tuple(ABLATIONS),
) -> dict[str, Any]:
    """The demo's configuration for one data seed, with controls and ablations as additional experiments.

    Args:
        demo: the content of ``config.yaml``.
        seed: of the data, of the training order and of new layers.
        results: folder for all results.
        images: number of training images; the demo's by default.
        ablations: names in ``ABLATIONS``.
    """
    config = copy.deepcopy(dict(demo))
    config["dataset"]["generate"]["seed"] = seed
    if images is not None:
        config["dataset"]["generate"]["train_images"] = images
    config["runtime"] = {**config["runtime"], "results": str(results), "shards": 1}
    for section in ("classifiers", "affinities", "segmenters"):
        for variant in config[section].values():
            if "extends" not in variant:
                variant["optimisation"]["seed"] = seed
    classifiers = config["classifiers"]
    (epochs,) = {classifiers[name]["optimisation"]["epochs"] for name in CONTROLS if name in classifiers}
    classifiers[CONTROL] = {"extends": "ordinary", "start_from": "ordinary", "optimisation": {"epochs": epochs}}
    config["cams"][CONTROL] = {"extends": "cam", "classifier": CONTROL}
    config["experiments"] = {
        **{name: config["experiments"][name] for name in (*METHODS, FULL)},
        **{name: {"cams": name} for name in (*SEEDS_ONLY, CONTROL)},
    }
    for name in ablations:
        method, changes = ABLATIONS[name]
        config["cams"][name] = {"extends": method, **changes.get("cams", {})}
        if "classifiers" in changes:
            config["classifiers"][name] = {"extends": method, **changes["classifiers"]}
            config["cams"][name]["classifier"] = name
        config["experiments"][name] = {"cams": name}
    return config


def run(config: Mapping[str, Any], file: Path, cores: int) -> None:
    """Run the workflow on a configuration, saved in ``file``; an error stops the benchmark.

    Raises:
        subprocess.CalledProcessError: the workflow failed.
    """
    load_config(config)  # for clear messages before Snakemake starts
    write_text(file, yaml.safe_dump(dict(config), sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet", "all"]
    subprocess.run([*command, "--configfile", str(file), "--nolock"], cwd=REPOSITORY, check=True)


def scores_of_seed(config: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """MIoU in percent by experiment and key of ``COLUMNS``, for the experiment's stages."""
    checked = load_config(config)
    plan = Plan(checked)
    scores: dict[str, dict[str, float]] = {}
    for name, artifacts in plan.experiments.items():
        found: dict[str, float] = {}
        if (cams := checked.experiments[name].cams) is not None:
            rows = rows_of(artifacts["cams"].path("scores.csv"))
            threshold = f"{checked.cams[cams].threshold.fixed:.2f}"
            found["seed"] = max(float(row["miou"]) for row in rows)
            found["fixed"] = next(float(row["miou"]) for row in rows if row["threshold"] == threshold)
        for key, stage, file in (
            ("refined", "refined_seeds", "labels.scores.csv"),
            ("pseudo", "pseudo_labels", "labels.scores.csv"),
            ("val", "predictions", "labels.scores.csv"),
        ):
            if stage in artifacts:
                found[key] = float(rows_of(artifacts[stage].path(file))[0]["miou"])
        scores[name] = {key: 100 * value for key, value in found.items()}
    return scores


def report(configs: Mapping[int, Mapping[str, Any]]) -> str:
    """All tables of a benchmark as Markdown.

    Args:
        configs: the configuration of each seed, which has to be finished.
    """
    scores = {seed: scores_of_seed(config) for seed, config in configs.items()}
    some = next(iter(configs.values()))
    generate = some["dataset"]["generate"]
    lines = [
        "# Scores of the methods on `creatures`",
        "",
        f"`python -m benchmarks.methods`, {date.today()}, {machine()}. {len(scores)} data seeds "
        f"({', '.join(map(str, scores))}), {generate['train_images']} training and {generate['val_images']} validation "
        f"images of {generate['size']} pixels. mIoU in percent, mean ± standard deviation over seeds; differences are "
        "paired by seed.",
        "",
        "The best threshold is chosen on the masks of the training images, which weak supervision does not have; the "
        'fixed one is in `config.yaml` and was chosen, like all settings, on seed 0; the columns from "+ CRF" only use '
        "fixed thresholds. The segmenter is scored on validation images.",
        "",
        "## Methods",
        "",
        f"| experiment | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    lines += [_row(scores, name) for name in (*METHODS, *SEEDS_ONLY, CONTROL, FULL)]
    lines += ["", "## Gain over the control", ""]
    lines += [
        "AdvCAM does not change the classifier: its control is the plain CAM of the same classifier. The control of "
        "the others is an ordinary classifier on the same trunk, with the same initial weights and number of epochs.",
        "",
        "| method | control's seed, best threshold | gain | by seed |",
        "|---|---|---|---|",
    ]
    lines += [_difference(scores, method, control) for method, control in CONTROLS.items()]
    scores = {seed: one for seed, one in scores.items() if any(name in one for name in ABLATIONS)}
    if scores:
        seeds = ", ".join(map(str, scores))
        lines += ["", "## Ablations", ""]
        lines += [f"Seed at its best threshold, and the difference from the whole method; data seeds {seeds}.", ""]
        lines += ["| ablation | seed | difference | by seed |", "|---|---|---|---|"]
        lines += [
            _ablation(scores, name, method)
            for name, (method, _) in ABLATIONS.items()
            if all(name in one for one in scores.values())
        ]
    return "\n".join(lines) + "\n"


def _row(scores: Mapping[int, Mapping[str, Mapping[str, float]]], name: str) -> str:
    cells = [
        spread([one[name][key] for one in scores.values()]) if all(key in one[name] for one in scores.values()) else "–"
        for key in COLUMNS
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _paired(scores: Mapping[int, Mapping[str, Mapping[str, float]]], name: str, other: str) -> list[float]:
    return [one[name]["seed"] - one[other]["seed"] for one in scores.values()]


def _difference(scores: Mapping[int, Mapping[str, Mapping[str, float]]], method: str, control: str) -> str:
    gains = _paired(scores, method, control)
    own = spread([one[control]["seed"] for one in scores.values()])
    return f"| {method} | {own} | {spread(gains, '+')} | {' '.join(f'{gain:+.1f}' for gain in gains)} |"


def _ablation(scores: Mapping[int, Mapping[str, Mapping[str, float]]], name: str, method: str) -> str:
    changes = _paired(scores, name, method)
    own = spread([one[name]["seed"] for one in scores.values()])
    return f"| {name} | {own} | {spread(changes, '+')} | {' '.join(f'{change:+.1f}' for change in changes)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the missing jobs and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="data seeds")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--images", type=int, help="training images (default: the demo's)")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "benchmark")
    parser.add_argument("--ablation-seeds", type=int, nargs="*", help="seeds with ablations (default: all)")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    parser.add_argument("--ablations", nargs="+", choices=ABLATIONS, default=list(ABLATIONS), help="(default: all)")
    options = parser.parse_args(arguments)
    demo = read_yaml(REPOSITORY / "config.yaml")
    with_ablations = options.seeds if options.ablation_seeds is None else options.ablation_seeds
    configs = {}
    for seed in options.seeds:
        ablations = options.ablations if seed in with_ablations else ()
        config = configuration(demo, seed, options.results.resolve(), options.images, ablations)
        run(config, options.results / f"seed-{seed}.yaml", options.cores)
        configs[seed] = config
        text = report(configs)
        print(text, flush=True)
    if options.write is not None:
        write_text(options.write, text)


if __name__ == "__main__":
    main()
