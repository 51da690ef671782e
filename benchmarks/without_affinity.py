"""What refinements without weights are worth: the dense CRF, PAR and PAMR on class maps, and masks of segments.

``python -m benchmarks.without_affinity`` makes pseudo labels of the demo's class maps without an affinity, through the
workflow itself: a second call computes nothing again. ``--folder DIR`` does so with a folder of photographs
(``configs/voc12-laptop.yaml``). CRF, PAR and PAMR are tried with their authors' settings and with settings for small
images. Masks of segments are those of Felzenszwalb and Huttenlocher's method (scikit-image), at three scales, as no
network such as SAM is at hand: they show that the way runs, not what SAM is worth.

The background begins at the seed's threshold; nothing is chosen on the scored data but between the two settings of each
refinement, which are both in the table. The last line is ``crf=<mIoU> par=<mIoU> pamr=<mIoU>``, each its better one.
"""

import argparse
import copy
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.methods import REPOSITORY, run
from benchmarks.tables import machine, rows_of
from wsss_core.config import load_config, read_yaml
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import read_index
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.files.atomic import write_text
from wsss_core.plan.plan import Plan

SMALL = {"shrink": 1, "dilations": [1, 2, 4, 8]}
"""PAR's and PAMR's settings for images of a hundred or two hundred pixels."""
REFINEMENTS: dict[str, dict[str, Any]] = {
    "none": {"crf": None},
    "crf": {"crf": {}},
    "crf, small": {"crf": {"unary": "labels", "certainty": 0.6, "iterations": 5, "long_side": None}},
    "par": {"par": {}},
    "par, small": {"par": SMALL},
    "pamr": {"pamr": {}},
    "pamr, small": {"pamr": SMALL},
}
"""Settings of ``pseudo_labels``, by row. The small CRF is the demo's."""
SMALL_CRF = {"bilateral_sxy": 12, "bilateral_srgb": 20, "bilateral_compat": 5}
REFINEMENTS["crf, small"]["crf"].update(SMALL_CRF)
JOINED = ("none", "crf, small")
"""Rows that are also joined with masks of segments."""


def configuration(
    base: Mapping[str, Any], results: Path, masks: Path | None, images: int | None = None
) -> dict[str, Any]:
    """A configuration with an experiment for each row.

    Args:
        base: a configuration with the class maps ``cam``.
        results: folder for all that is made.
        masks: folder of masks of segments; None to leave them out.
        images: training images of generated data; as many as ``base`` says by default.
    """
    config = copy.deepcopy(dict(base))
    if images is not None:
        config["dataset"]["generate"]["train_images"] = images
    config["runtime"] = {"device": "cpu", "shards": 1, "results": str(results)}
    rows = {name: dict(settings) for name, settings in REFINEMENTS.items()}
    for name in JOINED if masks is not None else ():
        rows[f"{name} + masks"] = {**REFINEMENTS[name], "sam_masks": {"folder": str(masks)}}
    variants = {_variant(name): settings for name, settings in rows.items()}
    config["affinities"] = {
        variant: {"method": "none", "pseudo_labels": settings} for variant, settings in variants.items()
    }
    config["experiments"] = {variant: {"cams": "cam", "affinity": variant} for variant in variants}
    config["report"] = {"climbs": 0}
    config.pop("segmenters", None)
    return config


def _variant(row: str) -> str:
    return row.replace(", ", "_").replace(" + ", "_")


def write_segments(config: Mapping[str, Any], folder: Path) -> None:
    """Write masks of segments of all training images: ``<image id>/<number>.png``."""
    from skimage.segmentation import felzenszwalb

    plan = Plan(load_config(config))
    index = read_index(plan.dataset.path("index.csv"), plan.dataset.path("classes.json")).split("train")
    for image_id, path in zip(index.image_ids, index.image_paths, strict=True):
        place, image = folder / image_id, read_image(path)
        if place.exists():
            continue
        place.mkdir(parents=True)
        number = 0
        for scale in (50, 200, 800):
            segments = felzenszwalb(image, scale=scale, sigma=0.8, min_size=30)
            for value in range(segments.max() + 1):
                Image.fromarray((segments == value).astype(np.uint8) * 255).save(place / f"{number}.png")
                number += 1


def scores_of(config: Mapping[str, Any]) -> dict[str, float]:
    """MIoU in percent of the seed and of each experiment's pseudo labels."""
    checked = load_config(config)
    plan = Plan(checked)
    cams = next(iter(plan.experiments.values()))
    threshold = checked.cams["cam"].threshold.fixed
    if threshold is None:
        threshold = read_threshold(cams["seed_threshold"].path("threshold.json"))["threshold"]
    rows = rows_of(cams["cams"].path("scores.csv"))
    scores = {"seed": 100 * next(float(row["miou"]) for row in rows if row["threshold"] == f"{threshold:.2f}")}
    for name, stages in plan.experiments.items():
        scores[name] = 100 * float(rows_of(stages["pseudo_labels"].path("labels.scores.csv"))[0]["miou"])
    return scores


def report(scores: Mapping[str, float], heading: str) -> str:
    """The table and the last line."""
    lines = [heading, "", "| pseudo labels of class maps | mIoU | over the seed |", "|---|---|---|"]
    for row in ["seed", *REFINEMENTS, *(f"{name} + masks" for name in JOINED)]:
        if (found := scores.get(_variant(row))) is not None:
            lines.append(f"| {row} | {found:.1f} | {found - scores['seed']:+.1f} |")
    best = {kind: max(scores[kind], scores[f"{kind}_small"]) for kind in ("crf", "par", "pamr")}
    return "\n".join([*lines, "", " ".join(f"{kind}={score:.1f}" for kind, score in best.items())]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.without_affinity", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="photographs: images/, labels.csv, masks/ (default: the demo's data)"
    )
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--images", type=int, help="training images of the demo's data (default: the demo's)")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "benchmark")
    parser.add_argument("--write", type=Path, help="Markdown file for the table")
    options = parser.parse_args(arguments)
    results: Path = options.results.resolve()
    base = read_yaml(REPOSITORY / ("config.yaml" if options.folder is None else "configs/voc12-laptop.yaml"))
    name = "creatures"
    if options.folder is not None:
        recipe, name = read_yaml(REPOSITORY / "configs/folder-cpu.yaml"), options.folder.resolve().name
        base["dataset"] = {**recipe["dataset"], "name": name, "root": str(options.folder.resolve())}
    file, masks = options.results / f"without-affinity-{name}.yaml", results / f"segments-{name}"
    without = configuration(base, results, None, options.images)
    run(without, file, options.cores)
    write_segments(without, masks)
    config = configuration(base, results, masks, options.images)
    run(config, file, options.cores)
    text = report(scores_of(config), f"{name}, {date.today()}, {machine()}")
    print(text, end="")
    if options.write is not None:
        write_text(options.write, text)


if __name__ == "__main__":
    main()
