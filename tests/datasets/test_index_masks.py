"""Tests of ``index_masks`` on masks that have to be drawn: once, and on from where a killed run was."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.voc_tree import indexed, small_tree
from wsss_core.config.dataset import VocDataset
from wsss_core.datasets.faults import DatasetFaults, FaultKind
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.voc.voc import VocFolder
from wsss_core.errors import UserError

SIZES = {"0001": (6, 8), "0002": (3, 9), "nan": (6, 8), "0004": (6, 8), "0005": (11, 4)}


def draw(image_id: str, root: Path) -> np.ndarray:
    """A mask of ones; writes down that it was drawn, and kills the process at the image that ``last.txt`` names."""
    record = root / "drawn.txt"
    if (root / "last.txt").read_text() == image_id:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(record, "a") as file:
        file.write(f"{image_id}\n")
    if not record.with_name("broken").exists() or image_id != "nan":
        return np.ones(SIZES[image_id], dtype=np.uint8)
    raise UserError(f"{record}: cannot be drawn")


class Drawn(VocFolder):
    """A small tree whose masks are drawn."""

    def mask_inputs(self):
        return [self.root / "ImageSets/Segmentation/train.txt"]

    def expected_mask(self, image_id):
        return self.mask_inputs()[0]

    def masks(self, index):
        for image_id in index.image_ids:
            yield image_id, partial(draw, image_id, self.root)


@pytest.fixture
def folder(tmp_path) -> Path:
    indexed(small_tree(tmp_path / "voc"))
    return tmp_path


def run(folder: Path, threads: int = 1, last: str = "", **settings) -> dict[str, Path]:
    settings = {"root": folder / "voc", "classes": ("cat", "dog", "bird"), **settings}
    raw = Drawn(folder / "voc", VocDataset(**settings))
    (folder / "voc/last.txt").write_text(last)
    index = read_index(folder / "made/index.csv", folder / "made/classes.json")
    index_masks(raw, index, folder / "masks/masks.csv", folder / "masks/skipped.csv", threads)
    return read_label_manifest([folder / "masks/masks.csv"])


def run_until_killed(folder: Path) -> None:
    """Draw in another process, which is killed at 0004."""
    code = (
        "import sys, pathlib, tests.datasets.test_index_masks as here; here.run(pathlib.Path(sys.argv[1]), 1, '0004')"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)]).returncode == -signal.SIGKILL


def drawn(folder: Path) -> list[str]:
    return (folder / "voc/drawn.txt").read_text().splitlines()


@pytest.mark.parametrize("threads", [1, 2])
def test_masks_are_drawn_once_next_to_the_table(folder, threads, monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.image_pool.QUICK_IMAGES", 1)  # so that few images get processes too
    masks = run(folder, threads)
    assert list(masks) == list(SIZES) and sorted(drawn(folder)) == sorted(SIZES)
    for image_id, path in masks.items():
        assert path == folder / f"masks/drawn/{image_id}.png"
        np.testing.assert_array_equal(read_mask(path), np.ones(SIZES[image_id]))
    assert not (folder / "masks/.partial").exists()


def test_a_killed_run_goes_on_from_where_it_was(folder):
    run_until_killed(folder)
    assert not (folder / "masks/masks.csv").exists()
    before = drawn(folder)
    assert {"0001", "0002", "nan"} <= set(before)
    masks = run(folder)
    assert list(masks) == list(SIZES)
    again = drawn(folder)[len(before) :]
    assert not {"0001", "0002", "nan"} & set(again) and "0004" in again
    assert not (folder / "masks/.partial").exists()


def test_other_inputs_are_drawn_again(folder):
    run_until_killed(folder)
    before = drawn(folder)
    with open(folder / "voc/ImageSets/Segmentation/train.txt", "a") as file:
        file.write("\n")
    run(folder)
    assert drawn(folder)[len(before) :] == list(SIZES)


def test_a_mask_that_cannot_be_drawn_is_reported_with_the_file_it_comes_from(folder):
    (folder / "voc/broken").touch()
    with pytest.raises(DatasetFaults) as caught:
        run(folder)
    (fault,) = caught.value.faults
    assert (fault.kind, fault.image_id) == (FaultKind.BROKEN_MASK, "nan")
    assert fault.file == str(folder / "voc/ImageSets/Segmentation/train.txt")
    assert (folder / "masks/faults.csv").exists() and not (folder / "masks/masks.csv").exists()
    (folder / "voc/broken").unlink()
    before = len(drawn(folder))
    assert list(run(folder)) == list(SIZES)
    assert drawn(folder)[before:] == ["nan"], "what was right need not be drawn again"
    assert not (folder / "masks/faults.csv").exists()


def test_a_mask_that_cannot_be_drawn_can_be_skipped(folder):
    (folder / "voc/broken").touch()
    assert list(run(folder, on_fault="skip")) == ["0001", "0002", "0004", "0005"]
    assert "nan" in (folder / "masks/skipped.csv").read_text()
