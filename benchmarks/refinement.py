"""Scores of refinements: CRF, AffinityNet, IRN, and a second CRF as the control, over several data seeds.

``python -m benchmarks.refinement`` refines the demo's class maps of all methods by both affinities, on one generated
data set for each seed. It runs the workflow itself, so a second call computes nothing again. The control tests whether
a learned affinity does more than a CRF could: it applies a second, stronger CRF to the CRF-refined seed, with several
strengths; the one with the best mean over seeds counts.

Thresholds of seeds are those in ``config.yaml``; only the control's strength is chosen on the scored data. The last
line is ``gain=<mean gain of affinity over CRF> least=<smallest such gain of a method and affinity> control=<the
control's mean gain>``, in points of mIoU.
"""

import argparse
import copy
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.methods import METHODS, REPOSITORY, configuration, run
from benchmarks.tables import machine, rows_of
from wsss_core.config import load_config, read_yaml
from wsss_core.config.crf import Crf
from wsss_core.config.refinement import LearnedAffinity
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.evaluation.confusion import confusion_matrix, scores_of
from wsss_core.files.atomic import write_text
from wsss_core.plan.plan import Plan
from wsss_core.refinement.crf import DenseCrf

AFFINITIES = ("affinitynet", "irn")
"""The compared variants of the demo."""
STEPS = {
    "seed": "seed",
    "crf": "+ CRF",
    "control": "+ second CRF",
    "affinitynet_walk": "AffinityNet: walk",
    "affinitynet": "+ CRF",
    "irn_walk": "IRN: walk",
    "irn": "+ CRF",
}
"""The scores and their columns' headings."""
Scores = dict[str, dict[str, float]]
"""MIoU in percent, by method and key of ``STEPS``."""


def refinement_configuration(
    demo: Mapping[str, Any], seed: int, results: Path, images: int | None = None
) -> dict[str, Any]:
    """The demo's configuration for one data seed: every method's class maps with every affinity."""
    config = configuration(demo, seed, results, images, ablations=())
    config["experiments"] = {
        f"{method}_{affinity}": {"cams": method, "affinity": affinity} for method in METHODS for affinity in AFFINITIES
    }
    return config


def stronger_crfs(crf: Crf) -> dict[str, Crf]:
    """CRFs on labels that smooth more than ``crf``, by name."""
    labels = crf.model_copy(update={"unary": "labels"})
    wider = {"bilateral_sxy": 2 * crf.bilateral_sxy}
    heavier = {"bilateral_compat": 2 * crf.bilateral_compat}
    tolerant = {"bilateral_srgb": 1.5 * crf.bilateral_srgb}
    longer: dict[str, float] = {"iterations": 2 * crf.iterations}
    changes: dict[str, dict[str, float]] = {
        "the same again": {},
        "wider": wider,
        "heavier": heavier,
        "more tolerant of colour": tolerant,
        "longer": longer,
        "all of these": {**wider, **heavier, **tolerant, **longer},
    }
    return {name: labels.model_copy(update=change) for name, change in changes.items()}


def second_crf_counts(images: Sequence[tuple[Path, Path, Path]], classes: int, crf: Crf) -> np.ndarray:
    """The confusion matrix of refined seeds after another CRF; ``images`` are files of image, label map and mask."""
    counts = np.zeros((classes + 1, classes + 2), dtype=np.int64)
    for image, label_map, mask in images:
        labels = read_mask(label_map)
        values, indices = np.unique(np.append(labels.reshape(-1), 0), return_inverse=True)
        field = DenseCrf(read_image(image), len(values), crf)
        winners = field.infer_from_labels(indices[:-1].reshape(labels.shape)).argmax(axis=0)
        counts += confusion_matrix(values[winners].astype(np.uint8), read_mask(mask), classes)
    return counts


def second_crf_scores(plan: Plan, stages: Mapping[str, Any], crf: Crf, processes: int) -> dict[str, float]:
    """MIoU in percent of an experiment's refined seeds after a second CRF, by the CRF's strength."""
    index = read_index(plan.dataset.path("index.csv"), plan.dataset.path("classes.json"))
    refined = read_label_manifest(sorted((stages["refined_seeds"].directory / "labels").glob("*.csv")))
    masks = read_label_manifest([plan.masks.path("masks.csv")])
    paths = dict(zip(index.image_ids, index.image_paths, strict=True))
    files = [(paths[image_id], label_map, masks[image_id]) for image_id, label_map in refined.items()]
    scores = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for name, stronger in stronger_crfs(crf).items():
            parts = [
                pool.submit(second_crf_counts, files[part::processes], len(index.classes), stronger)
                for part in range(processes)
            ]
            scores[name] = 100 * scores_of(np.sum([part.result() for part in parts], axis=0)).miou
    return scores


def scores_of_seed(config: Mapping[str, Any], processes: int) -> tuple[Scores, dict[str, dict[str, float]]]:
    """The scores of a finished configuration, and the control's scores by method and strength."""
    checked = load_config(config)
    plan = Plan(checked)
    scores: Scores = {}
    controls = {}
    for method in METHODS:
        found: dict[str, float] = {}
        for affinity in AFFINITIES:
            stages = plan.experiments[f"{method}_{affinity}"]
            settings = checked.affinities[affinity]
            threshold = checked.cams[method].threshold.fixed
            found["seed"] = _miou_at(stages["cams"].path("scores.csv"), threshold)
            found[affinity] = 100 * float(rows_of(stages["pseudo_labels"].path("labels.scores.csv"))[0]["miou"])
            background = settings.pseudo_labels.background
            at = background.threshold.fixed if background.threshold else None
            if background.times_seed_threshold is not None and threshold is not None:
                at = background.times_seed_threshold * threshold
            found[f"{affinity}_walk"] = _miou_at(stages["walked_cams"].path("scores.csv"), at)
        stages = plan.experiments[f"{method}_{AFFINITIES[0]}"]
        found["crf"] = 100 * float(rows_of(stages["refined_seeds"].path("labels.scores.csv"))[0]["miou"])
        affinity_settings = checked.affinities[AFFINITIES[0]]
        assert isinstance(affinity_settings, LearnedAffinity)
        crf = affinity_settings.labels.crf
        assert crf is not None
        controls[method] = second_crf_scores(plan, stages, crf, processes)
        scores[method] = found
    return scores, controls


def _miou_at(scores_csv: str, threshold: float | None) -> float:
    """MIoU in percent at the nearest threshold, or in the only row."""
    rows = rows_of(scores_csv)
    if rows[0]["threshold"]:
        if threshold is None:
            return float("nan")
        rows = sorted(rows, key=lambda row: abs(float(row["threshold"]) - threshold))
    return 100 * float(rows[0]["miou"])


def report(by_seed: Mapping[int, tuple[Scores, Mapping[str, Mapping[str, float]]]], config: Mapping[str, Any]) -> str:
    """The tables as Markdown, and the last line for programs."""
    generate = config["dataset"]["generate"]
    scores = {seed: copy.deepcopy(found) for seed, (found, _) in by_seed.items()}
    controls = {seed: control for seed, (_, control) in by_seed.items()}
    strengths = list(next(iter(controls.values()))[METHODS[0]])

    def mean_of(strength: str) -> float:
        return statistics.fmean(control[method][strength] for control in controls.values() for method in METHODS)

    strongest = max(strengths, key=mean_of)
    for seed, found in scores.items():
        for method in METHODS:
            found[method]["control"] = controls[seed][method][strongest]
    lines = [
        "# Scores of refinements on `creatures`",
        "",
        f"`python -m benchmarks.refinement`, {machine()}. {len(scores)} data seeds ({', '.join(map(str, scores))}), "
        f"{generate['train_images']} training images of {generate['size']} pixels. mIoU in percent on them, mean ± "
        "standard deviation over seeds, at the fixed thresholds of `config.yaml`, chosen on seed 0.",
        "",
        f"| maps | {' | '.join(STEPS.values())} |",
        f"|---|{'---|' * len(STEPS)}",
    ]
    for method in METHODS:
        cells = (_text([found[method][step] for found in scores.values()]) for step in STEPS)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    lines += ["", "Gains, paired by seed: mean ± standard deviation, and the number of seeds with a gain.", ""]
    pairs = (("crf", "seed"), ("control", "crf"), *((affinity, "crf") for affinity in AFFINITIES))
    lines += [
        f"| maps | {' | '.join(f'{step} over {other}' for step, other in pairs)} |",
        f"|---|{'---|' * len(pairs)}",
    ]
    gains: dict[str, list[float]] = {step: [] for step, _ in pairs}
    means: list[float] = []
    for method in METHODS:
        gained = []
        for step, other in pairs:
            own = [found[method][step] - found[method][other] for found in scores.values()]
            gains[step] += own
            if step in AFFINITIES:
                means.append(statistics.fmean(own))
            gained.append(f"{_text(own, '+')}, {sum(gain > 0 for gain in own)} of {len(own)}")
        lines.append(f"| {method} | {' | '.join(gained)} |")
    tried = "; ".join(f"{strength} {mean_of(strength):.1f}" for strength in strengths)
    lines += [
        "",
        f"The second CRF's strengths, mean over seeds and methods: {tried}. The best one is in the table.",
        "",
    ]
    control = statistics.fmean(gains["control"])
    lines.append(f"gain={statistics.fmean(means):.2f} least={min(means):.2f} control={control:.2f}")
    return "\n".join(lines) + "\n"


def _text(values: Sequence[float], sign: str = "") -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.1f}{spread}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the missing jobs and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refinement", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="data seeds")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--images", type=int, help="training images (default: the demo's)")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "benchmark")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    options = parser.parse_args(arguments)
    demo = read_yaml(REPOSITORY / "config.yaml")
    by_seed = {}
    for seed in options.seeds:
        config = refinement_configuration(demo, seed, options.results.resolve(), options.images)
        run(config, options.results / f"refinement-seed-{seed}.yaml", options.cores)
        by_seed[seed] = scores_of_seed(config, options.cores)
        text = report(by_seed, config)
        print(text, end="", flush=True)
    if options.write is not None:
        write_text(options.write, text)


if __name__ == "__main__":
    main()
