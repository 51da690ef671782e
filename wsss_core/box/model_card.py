"""The page about a box: what the network is, how it was made, how good it is, and what it is not for."""

from collections.abc import Mapping
from typing import Any

import pandas
import yaml

from wsss_core.plan.artifacts import Artifact
from wsss_core.report.score_text import conditions_in_text, figures_in_text, notes_in_text

NOT_STATED = "not stated"
WEAK = """The network was trained on label maps that nobody has drawn. They were computed from labels of whole images
("there is a cat in it"), by looking at what a classifier goes by. So:

- Borders are less exact than those of networks that were trained on masks, and thin parts may be missing.
- What always comes with an object (rails with trains, water with boats) may be labelled as the object, and less
  typical parts of the object as background.
- Objects of classes that are not in the list are background, or the class that they resemble most.
- Errors are not random: a whole kind of object, or of surroundings, may be wrong everywhere. Look at your own images
  before you rely on figures, and do not use this network as the only basis of decisions about people, health or
  safety."""
MASKS = "The network was trained on masks: this is not weak supervision, and its limits do not apply."
MIXED = "It was also trained on masks of some images, which people drew or corrected."


def model_card(description: Mapping[str, Any], scores: pandas.DataFrame, stages: Mapping[str, Artifact]) -> str:
    """The card as Markdown, with fields at its top that model hubs read.

    Args:
        description: as in ``box.json``.
        scores: the experiment's row of :func:`wsss_core.report.score_table.score_table`.
        stages: the experiment's artifacts.
    """
    name, licences = description["experiment"], description["licences"]
    fields = {
        "license": licences["weights"] or "unknown",
        "pipeline_tag": "image-segmentation",
        "tags": ["weakly-supervised", "semantic-segmentation"],
        "datasets": [description["dataset"]],
    }
    lines = ["---", yaml.safe_dump(fields, sort_keys=False).strip(), "---", ""]
    lines += [f"# {name}: semantic segmentation of {description['dataset']}", ""]
    if "segmenter" in stages:
        network = stages["segmenter"].parameters
        trunk = network["trunk"]
        lines += [
            f"A {network['network']} on {trunk.get('model') or trunk['network']}, which gives each pixel of a "
            f"photograph one of {len(description['classes'])} classes, or the background:",
        ]
    else:
        lines += [f"The experiment has no segmenter; it ends with: {', '.join(stages)}. The classes are:"]
    lines += [", ".join(description["classes"]) + ".", "", *_training(description, stages), "## Scores", ""]
    lines += [*figures_in_text(scores, {"experiment": "experiment", "labels": "trained on"}), ""]
    lines += [*notes_in_text(scores), "", "One training, one seed. The conditions of every figure:", ""]
    lines += [*conditions_in_text(scores, {"experiment": "experiment"}), ""]
    lines += ["## Limits", "", *_limits(description["trained_on"]), ""]
    return "\n".join([*lines, *_use(description), *_licences(description), ""])


def _training(description: Mapping[str, Any], stages: Mapping[str, Artifact]) -> list[str]:
    lines = [
        "## What the weights were trained on",
        "",
        f"- Data set: {description['dataset']}; labels: {description['trained_on']}.",
        *(f"- It started from other weights: {source}." for source in description["weights_go_back_to"]),
        "- Steps: " + ", ".join(f"{stage} `{artifact.name}`" for stage, artifact in stages.items()) + ".",
        "",
        "`config.yaml` has all settings; each folder of `artifacts/` has a `provenance.json` with releases, device and "
        "time.",
        "",
    ]
    return lines


def _limits(labels: str) -> list[str]:
    if labels == "masks":
        return [MASKS]
    return [WEAK] if labels == "pseudo" else [WEAK, "", MIXED]


def _use(description: Mapping[str, Any]) -> list[str]:
    name = description["experiment"]
    return [
        "## How to use it",
        "",
        "```sh",
        f"python -m wsss_core unpack {name}.zip      # into results/, and {name}.yaml next to it",
        f"snakemake -n --configfile {name}.yaml      # nothing to be done: all results are there",
        "```",
        "",
        "A program needs only `artifacts/segmenter/*/weights.safetensors`: its header says which network it is.",
        "",
        "The box has the names and labels of the data set's images (`index.csv`), and pictures of a few of them "
        + (
            "(`overview.png`, `climb.h5`, `erasing.h5`), and maps of all"
            if description["with_maps"]
            else "(`overview.png`)"
        )
        + "; no other images"
        + (" except generated ones." if description["with_maps"] else "."),
        *(f"The settings name `{path}`, which is not in the box." for path in description["not_in_the_box"]),
        *(f"It needs the program `{path}`, which is not in the box." for path in description["extensions"]),
        "",
    ]


def _licences(description: Mapping[str, Any]) -> list[str]:
    licences = description["licences"]
    return [
        "## Licences",
        "",
        f"- Weights: {licences['weights'] or NOT_STATED}",
        f"- Data that they were trained on: {licences['data'] or NOT_STATED}",
        f"- Author: {licences['author'] or NOT_STATED}",
        *(f"- Started from: {source}" for source in description["weights_go_back_to"]),
    ]
