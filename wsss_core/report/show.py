"""One image, large: what experiments made of it, stage by stage, as one picture."""

import difflib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np

from wsss_core.config.loading import unknown_name
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex, split_labels
from wsss_core.datasets.overlay import labels_over
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import group_name
from wsss_core.files.heat import heat_colours
from wsss_core.files.shards import shard_names
from wsss_core.plan.plan import Plan
from wsss_core.report.gallery import HEADINGS, label_map_in_words
from wsss_core.report.lettering import lettering
from wsss_core.report.pictured import CAMS, LABEL_STAGES, OpenPictures, Pictured

matplotlib.use("Agg")
from matplotlib import pyplot

SHOWN_STAGES = (CAMS, *LABEL_STAGES)
"""What can be shown."""
NEAREST = 5
"""Most ids that are suggested for an unknown one."""
CELL_INCHES = 2.4
WORDS = 30
"""Characters per line below a picture."""
TITLE = 28
"""Characters per line of the title, for each picture in a row."""


def show_image(
    plan: Plan, stage: str, image_id: str, experiments: Sequence[str], output: Path | None, options: str = ""
) -> Path:
    """Draw an image and its mask, and a row per experiment: class maps, and all label maps that exist.

    Args:
        plan: of the configuration.
        stage: one of ``SHOWN_STAGES``, which every named experiment must have; other stages are shown if they exist.
        image_id: the image.
        experiments: names of experiments; without any, all whose stage is made.
        output: the PNG file; by default one named after the image in ``results/<dataset>/shown``.
        options: Snakemake's options for this configuration, for a command that makes what is missing.

    Returns:
        The path of the picture.

    Raises:
        UserError: the image or an experiment is unknown, an experiment has no such stage, it is not made yet, or the
            file is not a PNG.
    """
    if output is not None and output.suffix.lower() != ".png":
        raise UserError(f"--output: {output} is not a PNG file; its name must end in .png")
    names = _experiments(plan, stage, experiments)
    index_csv, classes_json = (plan.dataset.path(name) for name in ("index.csv", "classes.json"))
    if not Path(index_csv).exists():
        raise UserError(f"{index_csv}: is not made yet; `snakemake dataset{options}` makes it")
    for name in names:
        _check_made(plan, name, stage, options)
    maps = {name: {s: made for s in SHOWN_STAGES if (made := _made(plan, name, s))} for name in names}
    masks_csv = plan.masks.path("masks.csv")
    pictured = Pictured(index_csv, classes_json, masks_csv if Path(masks_csv).exists() else None, maps, {}, 1)
    with ExitStack() as opened:
        pictures = OpenPictures(pictured, opened)
        row = _row(pictures.index, image_id, index_csv)
        for name in names:
            _check_image(pictures, name, stage, image_id, row["split"])
        cells = [_given(pictures, row), *(_row_of(pictures, name, image_id, row) for name in names)]
        output = output or plan.folder / "shown" / f"{group_name(image_id)}.png"
        _draw(cells, f"{image_id} ({row['split']}): {', '.join(split_labels(row['labels'])) or 'no class'}", output)
    return output


def _experiments(plan: Plan, stage: str, wanted: Sequence[str]) -> list[str]:
    """The experiments to show; all have the stage."""
    able = [name for name, stages in plan.experiments.items() if stage in stages]
    if not able:
        raise UserError(f"no experiment of the configuration has the stage '{stage}'")
    for name in wanted:
        if name not in plan.experiments:
            raise UserError(unknown_name(("--experiments",), "no such experiment", name, plan.experiments))
        if name not in able:
            raise UserError(f"--experiments: '{name}' has no stage '{stage}'; these have it: {', '.join(able)}")
    return list(dict.fromkeys(wanted)) or [name for name in able if _made(plan, name, stage)] or able


def _made(plan: Plan, experiment: str, stage: str) -> list[str]:
    """The shards or manifests of an experiment's stage; none unless all exist."""
    artifact = plan.experiments[experiment].get(stage)
    if artifact is None:
        return []
    folder = artifact.directory / ("shards" if stage == CAMS else "labels")
    files = [folder / name for name in shard_names(folder, ".h5" if stage == CAMS else ".csv", 1)]
    return list(map(str, files)) if all(file.exists() for file in files) else []


def _check_made(plan: Plan, experiment: str, stage: str, options: str) -> None:
    if not _made(plan, experiment, stage):
        directory = plan.experiments[experiment][stage].directory
        raise UserError(
            f"experiment '{experiment}': {directory} is not made yet; `snakemake {stage}{options}` makes it"
        )


def _row(index: DatasetIndex, image_id: str, index_csv: str) -> Any:
    """The image's row of the index."""
    ids = index.image_ids
    if image_id not in ids:
        near = difflib.get_close_matches(image_id, ids, n=NEAREST, cutoff=0.5) or ids[:NEAREST]
        raise UserError(f"{index_csv}: has no image '{image_id}'; the nearest of its {len(ids)}: {', '.join(near)}")
    return index.table.iloc[ids.index(image_id)]


def _check_image(pictures: OpenPictures, experiment: str, stage: str, image_id: str, split: str) -> None:
    there = (
        pictures.cams(experiment, image_id) if stage == CAMS else pictures.label_maps(experiment, image_id).get(stage)
    )
    if there is None:
        raise UserError(
            f"experiment '{experiment}' has no {stage} of image '{image_id}', which is in the split '{split}': "
            "training images have class maps, CRF labels and pseudo labels; validation images have predictions"
        )


Cell = tuple[str, str, np.ndarray]
"""A heading, what the picture shows in words, and the picture (H, W, 3)."""


def _given(pictures: OpenPictures, row: Any) -> list[Cell]:
    """The image, and its mask if there is one."""
    image = read_image(row["image"])
    mask_file = pictures.masks.get(row["image_id"])
    cells = [("image", "", image)]
    if mask_file is not None:
        cells.append(_labelled("mask", image, mask_file, pictures.index.classes))
    return cells


def _row_of(pictures: OpenPictures, experiment: str, image_id: str, row: Any) -> list[Cell]:
    """What an experiment made of an image: a map for each class, and the label maps."""
    image, cells = read_image(row["image"]), []
    reader = pictures.cams(experiment, image_id)
    if reader is not None:
        cams = reader.read(image_id)
        for class_index, values in zip(cams.classes, cams.full_size(), strict=True):
            seen = 0.45 * image / 255 + 0.55 * heat_colours(values) / 255
            cells.append((f"{experiment}: class map", pictures.index.classes[class_index], seen))
    for stage, file in pictures.label_maps(experiment, image_id).items():
        cells.append(_labelled(f"{experiment}: {HEADINGS[stage]}", image, file, pictures.index.classes))
    return cells


def _labelled(heading: str, image: np.ndarray, file: Path, classes: Sequence[str]) -> Cell:
    labels = read_mask(file)
    return heading, label_map_in_words(labels, classes), labels_over(image, labels)


def _draw(rows: Iterable[Sequence[Cell]], title: str, output: Path) -> None:
    rows = [row for row in rows if row]
    columns = max(map(len, rows))
    height, width = rows[0][0][2].shape[:2]
    size = CELL_INCHES * columns, (CELL_INCHES * height / width + 0.75) * len(rows) + 0.4
    with lettering(
        [title, *(text for row in rows for heading, words, _ in row for text in (heading, words))]
    ) as written:
        figure, axes = pyplot.subplots(len(rows), columns, figsize=size, squeeze=False, layout="constrained")
        figure.suptitle(fill(written(title), TITLE * columns), fontsize=10)
        for line, row in zip(axes, rows, strict=True):
            for axis in line:
                axis.set_axis_off()
            for axis, (heading, words, picture) in zip(line, row, strict=False):
                axis.imshow(picture, interpolation="nearest")
                axis.set_title(written(heading), fontsize=9)
                below = fill(written(words).replace(" %", "\N{NO-BREAK SPACE}%"), WORDS)
                axis.text(0.5, -0.03, below, transform=axis.transAxes, fontsize=8, ha="center", va="top")
        with atomic_path(output) as temporary:
            figure.savefig(temporary, dpi=130, metadata={"Software": None})
    pyplot.close(figure)
