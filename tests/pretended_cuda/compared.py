"""What a stage made on the pretended device beside what it made on the CPU."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas
from PIL import Image
from safetensors.numpy import load_file

Values = dict[str, np.ndarray]


def made_files(folder: Path) -> list[Path]:
    """The files of a stage, relative to its folder; what is half done is left out."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any("partial" in part for part in path.parts))


def values_of(path: Path) -> Values:
    """The numbers in a file, by name."""
    match path.suffix:
        case ".safetensors":
            return load_file(path)
        case ".h5":
            with h5py.File(path) as file:
                return dict(_datasets(file, ""))
        case ".png":
            return {"labels": np.asarray(Image.open(path))}
        case ".csv":
            table = pandas.read_csv(path)
            return {name: table[name].to_numpy() for name in table if table[name].dtype.kind in "if"}
    return {}


def _datasets(group: h5py.Group, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from _datasets(item, f"{prefix}{name}/")
        elif item.dtype.kind in "iufb":
            yield f"{prefix}{name}", item[()]


def largest_deviations(one: Path, other: Path) -> dict[str, float]:
    """By file and name, how far two folders' values are apart: relative to the largest, or the share of other labels.

    Raises:
        AssertionError: the folders do not hold the same files, or these not the same shapes.
    """
    assert made_files(one) == made_files(other)
    found = {}
    for path in made_files(one):
        ours, theirs = values_of(one / path), values_of(other / path)
        assert ours.keys() == theirs.keys(), path
        for name, value in ours.items():
            assert value.shape == theirs[name].shape, (path, name)
            if not value.size:
                continue
            if path.suffix == ".png":
                found[f"{path} {name}"] = float((value != theirs[name]).mean())
                continue
            a, b = value.astype(np.float64), theirs[name].astype(np.float64)
            if (np.isnan(a) != np.isnan(b)).any():
                found[f"{path} {name}"] = float("inf")
                continue
            found[f"{path} {name}"] = float(np.nanmax(np.abs(a - b)) / (np.nanmax(np.abs(b)) + 1e-12))
    return found
