"""Scores of segmenters trained on pseudo labels, on masks, and on both, over several data seeds.

``python -m benchmarks.segmentation`` trains the demo's segmenter on one generated data set for each seed: on the pseudo
labels of every method (after the demo's refinement), on the masks of a tenth of the images with the plain CAM's pseudo
labels of the others, and on all masks. It runs the workflow itself, so a second call computes nothing again.

It answers three questions. How much is lost between the pseudo labels, scored on the training images, and the
predictions on validation images (pseudo labels use each image's labels, predictions do not)? How far are the
predictions from those after training on masks? Do the methods keep their order between pseudo labels and predictions?
The last line is ``loss=<points of mIoU from pseudo labels to val> bound=<points from val to val with all masks>
order=<rank correlation of the methods' means> pairs=<proportion of pairs of methods, within each seed, in the same
order>``.
"""

import argparse
import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from benchmarks.methods import METHODS, REPOSITORY, configuration, run
from benchmarks.tables import machine, rows_of
from wsss_core.config import load_config, read_yaml
from wsss_core.files.atomic import write_text
from wsss_core.plan.plan import Plan

EVERY = 10
"""Every tenth training image has a mask in the semi-supervised experiment."""
SHARE = 0.3
"""Proportion of images with masks in each of its steps."""
WEAK, SEMI, FULL = "cam", "semi", "full"
Scores = dict[str, dict[str, float]]
"""MIoU in percent by experiment, for ``labels`` (on the training images; missing for masks) and ``val``."""


def segmentation_configuration(
    demo: Mapping[str, Any], seed: int, results: Path, images: int | None = None
) -> dict[str, Any]:
    """The demo's configuration for one data seed, with masks of no, some and all images; writes the list of some."""
    config = configuration(demo, seed, results, images, ablations=())
    number = config["dataset"]["generate"]["train_images"]
    listed = results / f"one-of-{EVERY}-of-{number}.txt"
    write_text(listed, "".join(f"creature_{image:06d}\n" for image in range(0, number, EVERY)))
    experiments = {method: demo["experiments"][method] for method in METHODS}
    experiments[SEMI] = {**experiments[WEAK], "masks_of": {"file": str(listed), "share": SHARE}}
    config["experiments"] = {**experiments, FULL: demo["experiments"][FULL]}
    return config


def scores_of_seed(config: Mapping[str, Any]) -> Scores:
    """The scores of a finished configuration."""
    scores: Scores = {}
    for name, stages in Plan(load_config(config)).experiments.items():
        scores[name] = {"val": _miou(stages["predictions"].path("labels.scores.csv"))}
        if "pseudo_labels" in stages:
            scores[name]["labels"] = _miou(stages["pseudo_labels"].path("labels.scores.csv"))
    return scores


def _miou(scores_csv: str) -> float:
    return 100 * float(rows_of(scores_csv)[0]["miou"])


def report(scores: Mapping[int, Scores], config: Mapping[str, Any]) -> str:
    """The table as Markdown, and the last line for programs.

    Args:
        scores: by seed.
        config: of any seed.
    """
    generate = config["dataset"]["generate"]
    lines = [
        "# Scores of segmenters by their labels on `creatures`",
        "",
        f"`python -m benchmarks.segmentation`, {machine()}. {len(scores)} data seeds ({', '.join(map(str, scores))}), "
        f"{generate['train_images']} training and {generate['val_images']} validation images of {generate['size']} "
        "pixels. mIoU in percent, mean ± standard deviation over seeds; differences are paired by seed. `semi`: the "
        f"masks of every {EVERY}th image and `{WEAK}`'s pseudo labels of the others; `full`: all masks.",
        "",
        "| labels of | pseudo labels, train | DeepLab, val | val - labels | val - full | val - full, by seed |",
        "|---|---|---|---|---|---|",
    ]
    lost, missing = [], []
    for name in (*METHODS, SEMI, FULL):
        found = [seed[name] for seed in scores.values()]
        to_full = [seed[name]["val"] - seed[FULL]["val"] for seed in scores.values()]
        cells = ["–", _text([f["val"] for f in found]), "–", "–", "–"]
        if name != FULL:
            to_labels = [f["val"] - f["labels"] for f in found]
            cells[0], cells[3] = _text([f["labels"] for f in found]), _text(to_full, "+")
            cells[4] = " ".join(f"{value:+.1f}" for value in to_full)
            if name != SEMI:
                cells[2] = _text(to_labels, "+")
                lost += to_labels
                missing += to_full
        lines.append(f"| {name} | {' | '.join(cells)} |")
    order, pairs = order_kept(scores)
    lines += [
        "",
        f"loss={-statistics.fmean(lost):.2f} bound={-statistics.fmean(missing):.2f} "
        f"order={order:.2f} pairs={pairs:.2f}",
    ]
    return "\n".join(lines) + "\n"


def order_kept(scores: Mapping[int, Scores]) -> tuple[float, float]:
    """Compare the order of the methods by pseudo labels and by val.

    Returns:
        Spearman's rank correlation of the methods' means over seeds; and the proportion of pairs of methods, within
        each seed, with the same order in both.
    """
    table = pandas.DataFrame(
        [
            (seed, method, *(found[method][key] for key in ("labels", "val")))
            for seed, found in scores.items()
            for method in METHODS
        ],
        columns=["seed", "method", "labels", "val"],
    )
    ranks = table.groupby("method")[["labels", "val"]].mean().rank()
    same = [
        (one["labels"] - other["labels"]) * (one["val"] - other["val"]) > 0
        for found in scores.values()
        for one, other in itertools.combinations([found[method] for method in METHODS], 2)
    ]
    return float(ranks["labels"].corr(ranks["val"])), statistics.fmean(same)


def _text(values: Sequence[float], sign: str = "") -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.1f}{spread}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the missing jobs and print the table after every seed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segmentation", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="data seeds")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--images", type=int, help="training images (default: the demo's)")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "benchmark")
    parser.add_argument("--write", type=Path, help="Markdown file for the table")
    options = parser.parse_args(arguments)
    demo = read_yaml(REPOSITORY / "config.yaml")
    results = options.results.resolve()
    scores = {}
    for seed in options.seeds:
        config = segmentation_configuration(demo, seed, results, options.images)
        run(config, results / f"segmentation-seed-{seed}.yaml", options.cores)
        scores[seed] = scores_of_seed(config)
        text = report(scores, config)
        print(text, flush=True)
    if options.write is not None:
        write_text(options.write, text)


if __name__ == "__main__":
    main()
