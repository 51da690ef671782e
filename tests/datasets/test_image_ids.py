"""Ids of images become names of files; those that cannot are reported by the check."""

from pathlib import Path

import pytest

from wsss_core.datasets.faults import DatasetFaults
from wsss_core.datasets.image_ids import unwritable_label_maps

from .folder_tree import FolderTree


@pytest.mark.parametrize(
    ("image_id", "reported"),
    [
        ("x" * 251, None),
        ("x" * 252, "256 bytes; at most 255 fit"),
        ("a/" + "é" * 126, "256 bytes; at most 255 fit"),
        ("000-of-001.csv/b", "lists of label maps"),
        ("123-of-456.csv/a/b", "lists of label maps"),
        ("a/000-of-001.csv/b", None),
        ("000-of-001.csv", None),  # its label map is 000-of-001.csv.png
        ("/".join(["y" * 200] * 20), "fit: shorten them"),
    ],
)
def test_ids_that_no_label_map_can_be_named_by(image_id, reported, tmp_path):
    found = list(unwritable_label_maps(["good", image_id], tmp_path))
    assert [name for name, _ in found] == ([image_id] if reported else [])
    assert all(reported in detail for _, detail in found)


def test_the_check_reports_them_as_faults_of_images(tmp_path):
    names = [f"{number}.png" for number in range(8)]
    tree = FolderTree(tmp_path).images([*names, "000-of-001.csv/b.png"])
    files = [path.relative_to(tmp_path / "images") for path in (tmp_path / "images").rglob("*.*") if path.is_file()]
    tree.table("labels.csv", [["image", "label"], *([str(file), "ab"[len(str(file)) % 2]] for file in files)])
    with pytest.raises(DatasetFaults) as caught:
        tree.index(tmp_path / "out")
    reported = {Path(fault.file).name: fault.detail for fault in caught.value.faults}
    assert "lists of label maps" in reported["b.png"]
