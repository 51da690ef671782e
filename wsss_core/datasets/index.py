"""The index of a data set: which images there are, in which split, with which classes.

Masks are no part of it. They serve scoring alone, so they have a table of their own, and what
trains a network is given the index only.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas

from wsss_core.atomic import atomic_path, write_json
from wsss_core.errors import UserError

SPLITS = ("train", "val")
"""The parts that images play, in the order of the index."""
TEST = "test"
"""The part of images without labels; they have an index of their own."""
COLUMNS = ("image_id", "split", "image", "height", "width", "labels")
"""The columns of the index."""
LABEL_SEPARATOR = ";"


@dataclass(frozen=True, eq=False)
class DatasetIndex:
    """Images of a data set with their labels; treat the table as read-only."""

    classes: tuple[str, ...]
    """Names of the K object classes without the background."""
    table: pandas.DataFrame
    """One row an image: ``image_id``, ``split`` (train or val; or test for all), ``image`` (path, relative
    ones to the working directory), ``height`` and ``width`` (int, pixels, upright) and ``labels`` (class
    names in class order, joined by ``;``)."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.table)

    @property
    def image_ids(self) -> list[str]:
        """The N image ids, in the order of the table."""
        return self.table["image_id"].tolist()

    @property
    def image_paths(self) -> list[Path]:
        """The N image files, in the order of the table."""
        return [Path(path) for path in self.table["image"]]

    @property
    def label_matrix(self) -> np.ndarray:
        """Which image shows which class: (N, K) bool, K in class order."""
        number = {name: k for k, name in enumerate(self.classes)}
        matrix = np.zeros((len(self), len(self.classes)), dtype=bool)
        for row, labels in enumerate(self.table["labels"]):
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
        return self._rows(self.table[self.table["split"] == name])

    def shard(self, k: int, n: int) -> "DatasetIndex":
        """Part ``k`` (from 0) of ``n`` parts: neighbours, of sizes that differ by one at most.

        All parts together, in order, are the index. Parts are empty where ``n`` exceeds N.

        Raises:
            ValueError: ``k`` is not in 0..n-1.
        """
        if not 0 <= k < n:
            raise ValueError(f"no shard {k} of {n}; shards are numbered from 0")
        return self._rows(self.table.iloc[k * len(self) // n : (k + 1) * len(self) // n])

    def _rows(self, rows: pandas.DataFrame) -> "DatasetIndex":
        return DatasetIndex(self.classes, rows.reset_index(drop=True))


def split_labels(labels: str) -> list[str]:
    """Class names of an entry of the column ``labels``; an empty entry has none."""
    return labels.split(LABEL_SEPARATOR) if labels else []


def join_labels(names: set[str], classes: tuple[str, ...]) -> str:
    """The entry of the column ``labels`` for ``names``, in the order of ``classes``."""
    return LABEL_SEPARATOR.join(name for name in classes if name in names)


def write_index(index: DatasetIndex, index_csv: Path | str, classes_json: Path | str) -> None:
    """Write the table as CSV and the class names as a JSON list, each whole or not at all."""
    _write_table(index.table[list(COLUMNS)], index_csv)
    write_json(classes_json, list(index.classes))


def read_index(index_csv: Path | str, classes_json: Path | str) -> DatasetIndex:
    """Read what ``write_index`` wrote.

    Raises:
        UserError: a file is missing, is no index, or the two do not belong together.
    """
    table, classes = _read_table(index_csv, COLUMNS), read_classes(classes_json)
    try:
        table = table.astype({"height": "int64", "width": "int64"})
    except ValueError as error:
        raise _not_made(index_csv, f"it is damaged ({error})") from error
    foreign = {name for labels in table["labels"] for name in split_labels(labels)} - set(classes)
    if foreign:
        raise _not_made(index_csv, f"{classes_json} lacks its class {min(foreign)!r}")
    return DatasetIndex(classes, table)


def read_classes(classes_json: Path | str) -> tuple[str, ...]:
    """The names of the object classes, without the background, in the order of their mask values.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return tuple(json.loads(Path(classes_json).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise _not_made(classes_json, "there is no such file") from error
    except ValueError as error:
        raise _not_made(classes_json, f"it is damaged ({error})") from error


def _write_table(table: pandas.DataFrame, path: Path | str) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def _read_table(path: Path | str, columns: tuple[str, ...]) -> pandas.DataFrame:
    try:
        # Everything is text: an id may be 0012 or nan, and has to stay that.
        table = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise _not_made(path, "there is no such file") from error
    except ValueError as error:  # also pandas' ParserError and EmptyDataError, UnicodeDecodeError
        raise _not_made(path, f"it is damaged ({error})") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise _not_made(path, f"it has no column {missing[0]!r}")
    return table[list(columns)]


def _not_made(path: Path | str, reason: str) -> UserError:
    return UserError(f"{path}: {reason}; delete it and let the workflow make it again")
