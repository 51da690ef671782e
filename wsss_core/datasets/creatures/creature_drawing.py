"""Pictures of creatures with their label maps (docs/creatures.md describes them)."""

from dataclasses import dataclass

import numpy as np

from wsss_core.datasets.creatures.creature_looks import HEADS, Creature, place_creature
from wsss_core.datasets.creatures.drawing import (
    BACKGROUNDS,
    REFERENCE_SIDE,
    SUPERSAMPLING,
    background,
    blobs,
    checks,
    clip_window,
    ellipse_level,
    local_window,
    photograph,
    stripes,
)
from wsss_core.datasets.palette import IGNORED

CO_OCCURRENCE = 0.7
"""Share of images with the background that belongs to the first creature's pair of classes."""
SMALLEST_VISIBLE = 20
"""A creature with fewer labelled pixels than this (in an image of 96 by 96) is left out."""


@dataclass(frozen=True)
class DrawnObject:
    """A creature in a picture. The box holds all its visible pixels; bounds are inclusive."""

    class_index: int
    left: int
    top: int
    right: int
    bottom: int
    truncated: bool
    """More than a twentieth of it is hidden: beyond the edge or behind another creature."""


@dataclass(frozen=True)
class Picture:
    """A picture and everything known about it.

    Attributes:
        image: uint8 (size, size, 3), red, green and blue.
        labels: uint8 (size, size): 0 background, class index + 1, 255 on borders.
        heads: bool (size, size): pixels of ``labels`` that show a head.
        objects: the visible creatures, from the front to the back.
        background: one of ``BACKGROUNDS``.
    """

    image: np.ndarray
    labels: np.ndarray
    heads: np.ndarray
    objects: tuple[DrawnObject, ...]
    background: str


def draw_picture(generator: np.random.Generator, size: int, headless: float, first_class: int) -> Picture:
    """Draw a picture with one to three creatures.

    Args:
        generator: source of randomness; the same state gives the same picture.
        size: height and width, pixels; at least 32.
        headless: share of creatures without a head, 0 to 1.
        first_class: class index 0 to 5 of the front creature, which is always visible.
    """
    side = size * SUPERSAMPLING
    kind = _background_kind(generator, first_class)
    canvas = background(generator, side, kind)
    for _ in range(generator.integers(0, 4)):
        _paint_distractor(generator, canvas)
    count = generator.choice(3, p=(0.5, 0.35, 0.15)) + 1
    classes = [first_class, *generator.integers(0, len(HEADS), count - 1).tolist()]
    placed: list[Creature] = []
    centres: list[tuple[float, float]] = []
    for class_index in classes:
        centre = _free_place(generator, centres)
        centres.append(centre)
        placed.append(place_creature(generator, side, class_index, centre, headless))
    placed, owners, heads = _visible(placed, size)
    for creature in reversed(placed):
        on_canvas, in_window = clip_window(side, creature.rows, creature.columns)
        shape = creature.shape[in_window]
        canvas[on_canvas][shape] = creature.colours[in_window][shape]
    border = _border(owners, max(1, round(size / REFERENCE_SIDE)))
    values = np.array([0] + [creature.class_index + 1 for creature in placed], dtype=np.uint8)
    labels = values[owners]
    labels[border] = IGNORED
    return Picture(
        image=photograph(generator, canvas),
        labels=labels,
        heads=heads & ~border,
        objects=tuple(_describe(c, owners == i + 1) for i, c in enumerate(placed)),
        background=kind,
    )


def _background_kind(generator: np.random.Generator, first_class: int) -> str:
    """The background of the class's pair with the probability ``CO_OCCURRENCE``, else another."""
    own = first_class % len(BACKGROUNDS)
    step = 0 if generator.uniform() < CO_OCCURRENCE else int(generator.integers(1, 3))
    return BACKGROUNDS[(own + step) % len(BACKGROUNDS)]


def _paint_distractor(generator: np.random.Generator, canvas: np.ndarray) -> None:
    """Paint a grey textured stone or post, which belongs to no class."""
    side = canvas.shape[0]
    radius = generator.uniform(4, 13)
    narrow = generator.uniform(0.35, 1.0)
    centre = tuple(generator.uniform(0, REFERENCE_SIDE, 2))
    rows, columns, along, across = local_window(side, centre, generator.uniform(0, 2 * np.pi), radius)
    on_canvas, in_window = clip_window(side, rows, columns)
    level = ellipse_level(along / radius, across / (radius * narrow), generator.choice((2.0, 4.0)))
    texture = (stripes, checks, blobs)[generator.integers(3)]
    tone = texture(along / 7, across / 7, generator)
    grey = generator.uniform(0.3, 0.75)
    colours = grey * np.where(tone, 1.0, generator.uniform(0.6, 0.95)) * (1.1 - 0.3 * level)
    shape = (level < 1)[in_window]
    canvas[on_canvas][shape] = colours[in_window][shape][:, None]


def _free_place(generator: np.random.Generator, taken: list[tuple[float, float]]) -> tuple[float, float]:
    """A place for a creature's centre, away from the others if a few attempts find one."""
    for _ in range(8):
        row, column = generator.uniform(0.2, 0.8, 2) * REFERENCE_SIDE
        if all((row - r) ** 2 + (column - c) ** 2 > 24.0**2 for r, c in taken):
            break
    return float(row), float(column)


def _visible(placed: list[Creature], size: int) -> tuple[list[Creature], np.ndarray, np.ndarray]:
    """Leave out creatures that are hardly visible.

    Returns:
        The remaining creatures; int64 (size, size), 0 for the background and i + 1 for creature i; bool (size, size),
        the pixels of heads.
    """
    smallest = SMALLEST_VISIBLE * (size / REFERENCE_SIDE) ** 2
    width = max(1, round(size / REFERENCE_SIDE))
    while True:
        owners, heads = _owners(placed, size)
        inner = np.where(_border(owners, width), 0, owners)
        counts = np.bincount(inner.ravel(), minlength=len(placed) + 1)[1:]
        hidden = [i for i, count in enumerate(counts) if i > 0 and count < smallest]
        if not hidden:
            return placed, owners, heads
        placed = [creature for i, creature in enumerate(placed) if i != hidden[-1]]


def _owners(placed: list[Creature], size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each image pixel, the creature that covers at least half of it, and whether a head does."""
    side = size * SUPERSAMPLING
    fine = np.zeros((side, side), dtype=np.uint8)
    fine_heads = np.zeros((side, side), dtype=bool)
    for number in range(len(placed), 0, -1):
        creature = placed[number - 1]
        on_canvas, in_window = clip_window(side, creature.rows, creature.columns)
        shape = creature.shape[in_window]
        fine[on_canvas][shape] = number
        fine_heads[on_canvas][shape] = creature.head[in_window][shape]
    owners = np.zeros((size, size), dtype=np.int64)
    for number in range(len(placed), 0, -1):
        owners[_cell_counts(fine == number) * 2 >= SUPERSAMPLING**2] = number
    heads = (_cell_counts(fine_heads) * 2 >= SUPERSAMPLING**2) & (owners > 0)
    return owners, heads


def _cell_counts(fine: np.ndarray) -> np.ndarray:
    """How many canvas pixels of each image pixel are True."""
    side = fine.shape[0] // SUPERSAMPLING
    cells = fine.astype(np.uint8).reshape(side, SUPERSAMPLING, side, SUPERSAMPLING)
    return cells.sum(axis=1).sum(axis=2)


def _border(owners: np.ndarray, width: int) -> np.ndarray:
    """The ring just outside each creature, on what lies behind it: bool (size, size)."""
    # Owners nearer to the front have lower numbers, and the background has 0: rank them.
    rank = np.where(owners == 0, 0, 1 + owners.max() - owners)
    highest = rank
    for _ in range(width):
        padded = np.pad(highest, 1)
        highest = padded[1:-1, 1:-1]
        for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
            highest = np.maximum(highest, neighbour)
    return highest > rank


def _describe(creature: Creature, visible: np.ndarray) -> DrawnObject:
    """The class and the box of a creature's visible pixels, bool (size, size)."""
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    whole = np.count_nonzero(creature.shape) / SUPERSAMPLING**2
    return DrawnObject(
        class_index=creature.class_index,
        left=int(columns[0]),
        top=int(rows[0]),
        right=int(columns[-1]),
        bottom=int(rows[-1]),
        truncated=bool(np.count_nonzero(visible) < 0.95 * whole),
    )
