import numpy as np
import pytest

from wsss_core.datasets.faults import DatasetFaults
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.index_corrections import corrected_masks_in, index_corrections
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError

COLUMNS = {
    "image_id": ["one", "a/two", "three", "seen"],
    "split": ["train", "train", "train", "val"],
    "image": ["none.jpg"] * 4,
    "height": [4] * 4,
    "width": [6] * 4,
    "labels": ["cat"] * 4,
}
INDEX = DatasetIndex(("cat", "dog"), COLUMNS)


def test_masks_are_checked_and_copied(tmp_path):
    write_label_map(tmp_path / "corrected/a/two.png", np.full((4, 6), 2, np.uint8))
    index_corrections(tmp_path / "corrected", INDEX, tmp_path / "made/masks.csv")
    found = read_label_manifest([tmp_path / "made/masks.csv"])
    assert list(found) == ["a/two"] and (read_mask(found["a/two"]) == 2).all()
    assert found["a/two"].is_relative_to(tmp_path / "made")  # whatever becomes of the folder


def test_masks_of_the_original_size_are_shrunk(tmp_path):
    original = {"original_image": ["none.jpg"] * 4, "original_height": [8] * 4, "original_width": [12] * 4}
    index = DatasetIndex(("cat", "dog"), {**COLUMNS, **original})
    for name, size in (("one", (8, 12)), ("three", (4, 6))):
        write_label_map(tmp_path / f"corrected/{name}.png", np.ones(size, np.uint8))
    index_corrections(tmp_path / "corrected", index, tmp_path / "made/masks.csv")
    found = read_label_manifest([tmp_path / "made/masks.csv"])
    assert {name: read_mask(path).shape for name, path in found.items()} == {"one": (4, 6), "three": (4, 6)}


def test_all_faults_are_reported(tmp_path):
    folder = tmp_path / "corrected"
    write_label_map(folder / "one.png", np.full((4, 6), 3, np.uint8))
    write_label_map(folder / "a/two.png", np.zeros((4, 7), np.uint8))
    write_label_map(folder / "seen.png", np.zeros((4, 6), np.uint8))
    write_label_map(folder / "nobody.png", np.zeros((4, 6), np.uint8))
    (folder / "three.png").write_bytes(b"nothing")
    with pytest.raises(DatasetFaults) as reported:
        index_corrections(folder, INDEX, tmp_path / "made/masks.csv")
    message = str(reported.value)
    for part in (
        "has the values 3",
        "4 high and 7 wide",
        "'seen' is a validation image",
        "'nobody' is no image",
        "three",
    ):
        assert part in message
    assert not (tmp_path / "made/masks.csv").exists() and (tmp_path / "made/faults.csv").exists()


def test_none_and_all(tmp_path):
    assert corrected_masks_in(tmp_path / "nowhere") == {}
    with pytest.raises(UserError, match="holds no mask"):
        index_corrections(tmp_path, INDEX, tmp_path / "made/masks.csv")
    for name in ("one", "a/two", "three"):
        write_label_map(tmp_path / f"corrected/{name}.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(UserError, match="each of the 3 training images"):
        index_corrections(tmp_path / "corrected", INDEX, tmp_path / "made/masks.csv")
