"""The index of a data set: its images, their splits and their classes.

Masks are not in it. They are only for scoring, so they have their own table, and training gets only the index.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss_core.datasets.table_file import damaged_table, read_table
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path, write_json

if TYPE_CHECKING:
    import pandas

SPLITS = ("train", "val")
"""The splits, in the order of the index."""
TEST = "test"
"""The split of images without labels; they have their own index."""
COLUMNS = ("image_id", "split", "image", "height", "width", "labels")
"""The columns of the index."""
ORIGINAL_COLUMNS = ("original_image", "original_height", "original_width")
"""Further columns if large images were shrunk: each image's original file, and that file's size."""
LABEL_SEPARATOR = ";"
_SIZE = ("height", "width")
_LONGEST_SIDE = 10**9
_MAKE_AGAIN = "delete it and let the workflow make it again"


@dataclass(frozen=True, eq=False)
class DatasetIndex:
    """Images of a data set with their labels; treat the columns as read-only."""

    classes: tuple[str, ...]
    """Names of the K object classes without the background."""
    columns: "Mapping[str, Sequence[Any]] | pandas.DataFrame"
    """An entry for each image: ``image_id``, ``split`` (train or val; or test for all), ``image`` (path; relative
    paths start from the working directory), ``height`` and ``width`` (int, pixels, upright) and ``labels`` (class
    names in class order, joined by ``;``); with ``dataset.long_side`` also ``ORIGINAL_COLUMNS``."""

    @cached_property
    def table(self) -> "pandas.DataFrame":
        """The columns as a table. Imported only when needed: pandas takes a third of a second."""
        if not isinstance(self.columns, Mapping):
            return self.columns
        import pandas

        return pandas.DataFrame(dict(self.columns))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.columns["image_id"])

    @property
    def image_ids(self) -> list[str]:
        """The N image ids, in order."""
        return list(self.columns["image_id"])

    @property
    def image_paths(self) -> list[Path]:
        """The N image files, in order."""
        return [Path(path) for path in self.columns["image"]]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The N images' heights and widths, pixels, in order."""
        return [(int(height), int(width)) for height, width in zip(*map(self.columns.__getitem__, _SIZE), strict=True)]

    def original(self) -> "DatasetIndex":
        """The same images before large ones were shrunk."""
        columns = dict(self.columns)
        if ORIGINAL_COLUMNS[0] not in columns:
            return self
        own = {name: columns[name] for name in COLUMNS}
        own.update({name.removeprefix("original_"): columns[name] for name in ORIGINAL_COLUMNS})
        return DatasetIndex(self.classes, own)

    @property
    def label_matrix(self) -> np.ndarray:
        """Which image shows which class: (N, K) bool, K in class order."""
        number = {name: k for k, name in enumerate(self.classes)}
        matrix = np.zeros((len(self), len(self.classes)), dtype=bool)
        for row, labels in enumerate(self.columns["labels"]):
            for name in split_labels(labels):
                matrix[row, number[name]] = True
        return matrix

    def split(self, name: str) -> "DatasetIndex":
        """The images of one split, ``train``, ``val`` or ``test``, in the same order.

        Raises:
            ValueError: there is no split of this name.
        """
        if name not in (*SPLITS, TEST):
            raise ValueError(f"no split {name!r}; there are {', '.join((*SPLITS, TEST))}")
        return self._rows([row for row, split in enumerate(self.columns["split"]) if split == name])

    def shard(self, k: int, n: int) -> "DatasetIndex":
        """Part ``k`` (from 0) of ``n`` contiguous parts, whose sizes differ by at most one.

        All parts together, in order, are the index. Some parts are empty if ``n`` exceeds N.

        Raises:
            ValueError: ``k`` is not in 0..n-1.
        """
        if not 0 <= k < n:
            raise ValueError(f"no shard {k} of {n}; shards are numbered from 0")
        return self._rows(range(k * len(self) // n, (k + 1) * len(self) // n))

    def only(self, image_ids: Collection[str]) -> "DatasetIndex":
        """The images with these ids, in the order of the index."""
        wanted = set(image_ids)
        return self._rows([row for row, image_id in enumerate(self.columns["image_id"]) if image_id in wanted])

    def _rows(self, rows: Sequence[int]) -> "DatasetIndex":
        columns = {name: list(column) for name, column in dict(self.columns).items()}
        return DatasetIndex(self.classes, {name: [column[row] for row in rows] for name, column in columns.items()})


def split_labels(labels: str) -> list[str]:
    """The class names in an entry of the column ``labels``; none if the entry is empty."""
    return labels.split(LABEL_SEPARATOR) if labels else []


def join_labels(names: set[str], classes: tuple[str, ...]) -> str:
    """The entry of the column ``labels`` for ``names``, in the order of ``classes``."""
    return LABEL_SEPARATOR.join(name for name in classes if name in names)


def write_index(index: DatasetIndex, index_csv: Path | str, classes_json: Path | str) -> None:
    """Write the table as CSV and the class names as a JSON list, each whole or not at all."""
    _write_table(index.table[_known_columns(index.table.columns)], index_csv)
    write_json(classes_json, list(index.classes))


def read_index(index_csv: Path | str, classes_json: Path | str) -> DatasetIndex:
    """Read what ``write_index`` wrote.

    Raises:
        UserError: a file is missing or is no index, or the two do not belong together.
    """
    columns, classes = _read_columns(index_csv), read_classes(classes_json)
    foreign = {name for labels in columns["labels"] for name in split_labels(labels)} - set(classes)
    if foreign:
        raise UserError(f"{index_csv}: {classes_json} lacks its class {min(foreign)!r}; {_MAKE_AGAIN}")
    return DatasetIndex(classes, columns)


def index_of_job(snakemake: Any, split: str) -> DatasetIndex:
    """The images of a job: all images of a split, or its shard of them.

    Args:
        snakemake: the object that Snakemake passes to scripts, with the inputs ``index`` and ``classes``.
        split: ``train``, ``val`` or ``test``.
    """
    images = read_index(snakemake.input.index, snakemake.input.classes).split(split)
    shard = snakemake.wildcards.get("shard")
    return images if shard is None else images.shard(int(shard), int(snakemake.wildcards.shards))


def read_classes(classes_json: Path | str) -> tuple[str, ...]:
    """The names of the object classes, without the background, in the order of their mask values.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        names = json.loads(Path(classes_json).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{classes_json}: there is no such file; {_MAKE_AGAIN}") from None
    except OSError as error:
        raise UserError(f"{classes_json}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise damaged_table(classes_json, str(error)) from None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise damaged_table(classes_json, "it is not a list of names")
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise damaged_table(classes_json, f"it has {twice[0]!r} twice")
    return tuple(names)


def _known_columns(heading: Iterable[str]) -> list[str]:
    """The columns of an index with this heading."""
    return [*COLUMNS, *(ORIGINAL_COLUMNS if {*heading}.issuperset(ORIGINAL_COLUMNS) else ())]


def _write_table(table: "pandas.DataFrame", path: Path | str) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def _read_columns(path: Path | str) -> dict[str, list[Any]]:
    heading, *rows = read_table(path)
    missing = [column for column in COLUMNS if column not in heading]
    if missing:
        raise UserError(f"{path}: it has no column {missing[0]!r}; {_MAKE_AGAIN}")
    # Only sizes are parsed: ids such as 0012 or nan must stay text.
    names = _known_columns(heading)
    columns: dict[str, list[Any]] = {name: [row[heading.index(name)] for row in rows] for name in names}
    for name in names:
        if name.endswith(_SIZE):
            columns[name] = [_side(path, text) for text in columns[name]]
    if twice := [image_id for image_id, count in Counter(columns["image_id"]).items() if count > 1]:
        raise damaged_table(path, f"it lists image {twice[0]!r} twice")
    for image_id, split, image in zip(columns["image_id"], columns["split"], columns["image"], strict=True):
        if split not in (*SPLITS, TEST):
            raise damaged_table(path, f"image {image_id!r} is in the split {split!r}")
        if not image_id or not image or "\0" in image:
            raise damaged_table(path, f"image {image_id!r} has the file {image!r}")
    return columns


def _side(path: Path | str, text: str) -> int:
    """Height or width of an image, pixels; 0 if it is unknown."""
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(_LONGEST_SIDE))):
        raise damaged_table(path, f"{text!r} is no image's height or width")
    return int(text)
