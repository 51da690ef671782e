"""Three images at the top of the report, with what one experiment made of them: the best, a middling and the worst."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.report.gallery import HEADINGS, SEED, Cell, label_cell
from wsss_core.report.gallery_choice import ImageScore, evenly
from wsss_core.report.pictured import OpenPictures, Pictured
from wsss_core.report.thumbnails import image_thumbnail, thumbnail_size

PLACES = ("the best", "in the middle", "the worst")


@dataclass(frozen=True)
class Example:
    """One image, and what an experiment made of it."""

    image_id: str
    place: str
    """One of ``PLACES``; empty without masks."""
    iou: float | None
    """The mean IoU of the classes in its mask."""
    picture: str
    """The image's ``data:`` address."""
    ratio: str
    """Its width to its height, as CSS has it."""
    cells: Sequence[Cell]
    """The label map and, if there is one, the mask."""


def draw_examples(
    pictured: Pictured, scores: Mapping[str, Mapping[str, ImageScore]], experiment: str, split: str
) -> list[Example]:
    """Choose three images by their IoU, or evenly spread ones where there is none, and draw them.

    Args:
        pictured: where everything lies.
        scores: by split and image, those to choose from.
        experiment: the experiment.
        split: the split that its label maps are of.

    Raises:
        UserError: a file is missing or damaged.
    """
    with ExitStack() as opened:
        pictures = OpenPictures(pictured, opened)
        of_split = pictures.index.split(split)
        chosen = _chosen(pictures, scores.get(split, {}), experiment)
        return [_example(pictures, of_split, experiment, place, *image) for place, image in chosen]


def _chosen(
    pictures: OpenPictures, scores: Mapping[str, ImageScore], experiment: str
) -> list[tuple[str, tuple[str, ImageScore]]]:
    """Places, and images with their scores."""
    scored = [image for image in scores.items() if experiment in image[1].iou]
    scored.sort(key=lambda image: (-image[1].iou[experiment], image[1].position))
    if len(scored) >= len(PLACES):
        return list(zip(PLACES, (scored[0], scored[len(scored) // 2], scored[-1]), strict=True))
    labelled = [image for image in scores.items() if pictures.last_labels(experiment, image[0]) is not None]
    return [("", labelled[k]) for k in evenly(len(labelled), len(PLACES))] if labelled else []


def _example(
    pictures: OpenPictures, split: DatasetIndex, experiment: str, place: str, image_id: str, score: ImageScore
) -> Example:
    image = read_image(split.image_paths[score.position])
    size, classes = thumbnail_size(image.shape), pictures.index.classes
    made = pictures.last_labels(experiment, image_id)
    assert made is not None
    stage = next(reversed([SEED, *pictures.label_maps(experiment, image_id)]))
    cells = [label_cell(HEADINGS[stage], pictures.read_labels(made), classes, size)]
    if image_id in pictures.masks:
        cells.append(label_cell("mask", read_mask(pictures.masks[image_id]), classes, size))
    ratio = f"{image.shape[1]} / {image.shape[0]}"
    return Example(image_id, place, score.iou.get(experiment), image_thumbnail(image), ratio, cells)
