"""Counts in a data set: classes, pairs of classes, image sizes. Only numbers; a page shows them."""

from dataclasses import dataclass

import numpy as np
import pandas

from wsss_core.datasets.index import SPLITS, TEST, DatasetIndex

ROWS_AT_A_TIME = 8192
"""Images whose labels are multiplied at once, to save memory: labels take four bytes each while multiplied."""
FEWEST_TOGETHER = 5
"""Pairs of classes with fewer common images than this are left out: their shares say nothing."""


@dataclass(frozen=True)
class Pair:
    """Two classes that occur together."""

    first: str
    """The class that comes first in the class list."""
    second: str
    """The other one."""
    together: int
    """Training images that show both."""
    of_either: float
    """``together`` as a share of the images that show one or both."""
    of_first: float
    """``together`` as a share of the images that show the first."""
    of_second: float
    """``together`` as a share of the images that show the second."""


def splits_of(index: DatasetIndex) -> list[str]:
    """The splits that have an image, in their usual order."""
    there = set(index.table["split"])
    return [split for split in (*SPLITS, TEST) if split in there]


def class_counts(index: DatasetIndex) -> pandas.DataFrame:
    """Images of each class.

    Returns:
        A row for each class, in class order, under the index ``class``, with the columns ``train`` and ``val`` (images
        that show it), ``train_share`` and ``val_share`` (of the images of that split, 0 to 1), ``train_alone``
        (training images that show no other class) and ``train_mean_classes`` (the mean number of classes in training
        images with this class, including it; nan if there are none).
    """
    columns: dict[str, np.ndarray] = {}
    labels = {split: index.split(split).label_matrix for split in SPLITS}
    for split in SPLITS:
        columns[split] = labels[split].sum(axis=0)
    for split in SPLITS:
        columns[f"{split}_share"] = columns[split] / max(len(labels[split]), 1)
    shown = labels["train"].sum(axis=1)
    columns["train_alone"] = labels["train"][shown == 1].sum(axis=0)
    of_all = np.array([shown[has_class].sum() for has_class in labels["train"].T], dtype=float)
    with np.errstate(invalid="ignore"):
        columns["train_mean_classes"] = of_all / columns["train"]
    return pandas.DataFrame(columns, index=pandas.Index(index.classes, name="class"))


def classes_per_image(index: DatasetIndex) -> np.ndarray:
    """How many classes each of the N images shows, (N,) int."""
    labels = index.table["labels"]
    return np.where(labels == "", 0, labels.str.count(";") + 1).astype(int)


def images_together(index: DatasetIndex) -> np.ndarray:
    """How many images show both of two classes, (K, K) int; on the diagonal, how many show the class."""
    labels = index.label_matrix
    together = np.zeros((len(index.classes),) * 2, dtype=np.int64)
    for start in range(0, len(labels), ROWS_AT_A_TIME):
        some = labels[start : start + ROWS_AT_A_TIME].astype(np.float32)  # whole numbers up to 2^24 are exact
        together += (some.T @ some).astype(np.int64)
    return together


def strongest_pairs(classes: tuple[str, ...], together: np.ndarray, number: int) -> list[Pair]:
    """The pairs of classes that are hardest to distinguish by image labels, because they mostly occur together.

    Args:
        classes: the K class names.
        together: the result of ``images_together``.
        number: how many pairs, at most.

    Returns:
        Pairs with ``FEWEST_TOGETHER`` images or more, sorted by their share of the images that show either class.
    """
    first, second = np.triu_indices(len(classes), k=1)
    both = together[first, second]
    of_first, of_second = together[first, first], together[second, second]
    share = both / np.maximum(of_first + of_second - both, 1)
    order = np.lexsort((second, first, -both, -share))  # the last is compared first
    return [
        Pair(
            classes[first[at]],
            classes[second[at]],
            int(both[at]),
            float(share[at]),
            float(both[at] / of_first[at]),
            float(both[at] / of_second[at]),
        )
        for at in order[both[order] >= FEWEST_TOGETHER][:number]
    ]


@dataclass(frozen=True)
class SizeMap:
    """How many images have which size, on logarithmic axes."""

    low: int
    """The axes begin at ``2 ** low`` pixels."""
    high: int
    """The axes end at ``2 ** high`` pixels."""
    steps: int
    """Cells for each doubling."""
    cells: list[tuple[int, int, int]]
    """Column (width), row (height), both from ``low``, and the number of images, of the cells that have any."""

    def pixels(self, cell: int) -> tuple[int, int]:
        """The smallest and the largest whole number of pixels in a column or row."""
        edges = [2 ** (self.low + at / self.steps) for at in (cell, cell + 1)]
        least = int(np.ceil(edges[0]))
        return least, max(least, int(np.ceil(edges[1])) - 1)


def size_map(index: DatasetIndex) -> SizeMap | None:
    """Count images by width and height; None if no size is known."""
    sizes = index.table[["width", "height"]].to_numpy(dtype=float)
    sizes = sizes[(sizes > 0).all(axis=1)]
    if len(sizes) == 0:
        return None
    low = int(np.floor(np.log2(sizes.min())))
    high = max(int(np.ceil(np.log2(sizes.max() + 1))), low + 1)
    steps = 8 if high - low <= 6 else 4
    cells = np.floor((np.log2(sizes) - low) * steps).astype(int)
    places, numbers = np.unique(cells, axis=0, return_counts=True)
    return SizeMap(low, high, steps, [(int(x), int(y), int(n)) for (x, y), n in zip(places, numbers, strict=True)])
