"""The gallery: what every method made of chosen images, step by step and side by side."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsss_core.config.stages import STAGES
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex, split_labels
from wsss_core.datasets.label_values import ignored_in
from wsss_core.report.gallery_choice import ImageScore, choose_images, image_scores
from wsss_core.report.pictured import CAMS, Labels, OpenPictures, Pictured
from wsss_core.report.thumbnails import (
    class_colour,
    heat_thumbnail,
    image_thumbnail,
    label_thumbnail,
    thumbnail_size,
)

SEED = "seed"
"""The stage of an experiment that ends at its class maps."""
HEADINGS = {SEED: "seed", **{name: stage.picture for name, stage in STAGES.items() if stage.picture}}
"""What a picture shows, by the stage it comes from."""
PAGE_CARDS = 240
"""Most images on a page."""
PAGE_BYTES = 10_000_000
"""Most characters of a page's pictures; a page of this size opens in a second."""


@dataclass(frozen=True)
class Cell:
    """A picture over the image."""

    heading: str
    """What it is."""
    picture: str
    """Its ``data:`` address."""
    words: str
    """The names of the classes that it shows."""


@dataclass(frozen=True)
class Method:
    """What one experiment made of an image, or several experiments that share it."""

    names: Sequence[str]
    """The experiments' names."""
    experiments: Sequence[int]
    """Their positions among all experiments."""
    iou: float | None
    """The mean IoU of the last label map with the mask."""
    cells: Sequence[Cell]
    """The pictures, in the order of the steps."""


@dataclass(frozen=True)
class Card:
    """One image of the gallery."""

    image_id: str
    split: str
    picture: str
    """The image's ``data:`` address."""
    ratio: str
    """Its ratio of width to height, in CSS."""
    classes: Sequence[int]
    """Positions of its labels among the classes."""
    class_names: Sequence[str]
    """The names of its labels."""
    mask: Cell | None
    methods: Sequence[Method]
    iou: Sequence[float | None]
    """By experiment, the mean IoU, or None."""
    mean_iou: float | None
    disagreement: float | None

    @property
    def size(self) -> int:
        """Characters of its pictures."""
        cells = [cell for method in self.methods for cell in method.cells] + ([self.mask] if self.mask else [])
        return len(self.picture) + sum(len(cell.picture) for cell in cells)


@dataclass(frozen=True)
class Gallery:
    """All that a gallery shows."""

    pages: Sequence[Sequence[Card]]
    """The images, page by page; no pages if there are no images."""
    experiments: Sequence[str]
    """The experiments' names."""
    classes: Sequence[tuple[str, str]]
    """Names and colours of the classes."""
    images: int
    """Number of images in the data set."""
    scores: Mapping[str, Mapping[str, ImageScore]] = field(default_factory=dict)
    """By split and image, the scores of the images that were chosen from."""

    @property
    def scored(self) -> bool:
        """Whether any image has a mask and a label map."""
        return any(card.mean_iou is not None for page in self.pages for card in page)


def draw_gallery(pictured: Pictured) -> Gallery:
    """Choose the images and draw their pictures.

    Args:
        pictured: the files to draw from.

    Raises:
        UserError: a file is missing or damaged.
    """
    with ExitStack() as opened:
        pictures = OpenPictures(pictured, opened)
        cards: list[Card] = []
        scores: dict[str, dict[str, ImageScore]] = {}
        for split in pictures.splits():
            found, ids = image_scores(pictures, split, pictured.shown), split.image_ids
            scores[split.table["split"].iloc[0]] = {ids[score.position]: score for score in found}
            cards += [_card(pictures, split, score) for score in choose_images(found, pictured.shown)]
        classes = [(name, class_colour(value)) for value, name in enumerate(pictures.index.classes, start=1)]
        return Gallery(list(pages_of(cards)), pictures.experiments, classes, len(pictures.index), scores)


def pages_of(cards: Sequence[Card], most: int = PAGE_CARDS, size: int = PAGE_BYTES) -> Iterator[list[Card]]:
    """Distribute cards to pages of at most ``most`` cards and ``size`` characters; a larger card gets its own page."""
    page: list[Card] = []
    for card in cards:
        if page and (len(page) == most or sum(other.size for other in page) + card.size > size):
            yield page
            page = []
        page.append(card)
    if page:
        yield page


def _card(pictures: OpenPictures, split: DatasetIndex, score: ImageScore) -> Card:
    row: Any = split.table.iloc[score.position]
    image_id, names = row["image_id"], split_labels(row["labels"])
    image = read_image(split.image_paths[score.position])
    size = thumbnail_size(image.shape)
    mask_file = pictures.masks.get(image_id)
    return Card(
        image_id,
        row["split"],
        image_thumbnail(image),
        f"{image.shape[1]} / {image.shape[0]}",
        [pictures.index.classes.index(name) for name in names],
        names,
        None if mask_file is None else label_cell("mask", read_mask(mask_file), pictures.index.classes, size),
        _methods(pictures, image_id, score, size),
        [score.iou.get(name) for name in pictures.experiments],
        score.mean_iou,
        score.disagreement,
    )


def _methods(pictures: OpenPictures, image_id: str, score: ImageScore, size: tuple[int, int]) -> list[Method]:
    """What experiments made of an image; those that share it are joined."""
    sharing: dict[tuple[Any, ...], list[str]] = {}
    for name in pictures.experiments:
        labels: dict[str, Labels] = dict(pictures.label_maps(name, image_id))
        if not labels and (seed := pictures.seed(name, image_id)) is not None:
            labels[SEED] = seed
        if labels:
            sharing.setdefault((pictures.cams(name, image_id), *labels.items()), []).append(name)
    methods = []
    for (reader, *label_maps), names in sharing.items():
        cells = []
        if reader is not None:
            cams = reader.read(image_id)
            shown = [pictures.index.classes[k] for k in cams.classes]
            strongest = cams.full_size().max(axis=0, initial=0)  # (H, W)
            words = f"the maximum of {', '.join(shown)}" if len(shown) > 1 else "".join(shown) or "no class"
            cells.append(Cell(HEADINGS[CAMS], heat_thumbnail(strongest, size), words))
        for stage, made in label_maps:
            cells.append(label_cell(HEADINGS[stage], pictures.read_labels(made), pictures.index.classes, size))
        positions = [pictures.experiments.index(name) for name in names]
        methods.append(Method(names, positions, score.iou.get(names[0]), cells))
    return methods


def label_cell(heading: str, labels: np.ndarray, classes: Sequence[str], size: tuple[int, int]) -> Cell:
    """The picture of a label map (H, W) as large as its image's thumbnail."""
    return Cell(heading, label_thumbnail(labels, size), label_map_in_words(labels, classes))


def label_map_in_words(labels: np.ndarray, classes: Sequence[str]) -> str:
    """The classes of a label map (H, W), uint8 or uint16, with their shares of its pixels, the largest first."""
    values, counts = np.unique(labels, return_counts=True)
    said = []
    for at in np.argsort(-counts, kind="stable"):
        value, share = int(values[at]), 100 * counts[at] / labels.size
        if value == ignored_in(labels):
            said.append(f"ignored {share:.0f} %")
        elif value > len(classes):
            said.append(f"unknown class {value} {share:.0f} %")
        elif value > 0:
            said.append(f"{classes[value - 1]} {share:.0f} %")
    return ", ".join(said) or "only background"
