import pytest

from wsss_core.files.shards import shard_names


def touch(folder, *names):
    for name in names:
        (folder / name).write_text("")


def test_names(tmp_path):
    assert shard_names(tmp_path / "none", ".h5", 2) == ["000-of-002.h5", "001-of-002.h5"]


@pytest.mark.parametrize("wanted", [1, 3, 8])
def test_a_complete_stage_keeps_its_number_of_shards(tmp_path, wanted):
    touch(tmp_path, "000-of-002.h5", "001-of-002.h5")
    assert len(shard_names(tmp_path, ".h5", wanted)) == 2


def test_an_incomplete_stage_takes_the_number_wanted(tmp_path):
    touch(tmp_path, "001-of-002.h5", "000-of-002.csv")
    assert len(shard_names(tmp_path, ".h5", 3)) == 3


def test_the_wanted_number_comes_first_if_complete(tmp_path):
    touch(tmp_path, "000-of-002.h5", "001-of-002.h5", "000-of-001.h5")
    assert len(shard_names(tmp_path, ".h5", 1)) == 1
    assert len(shard_names(tmp_path, ".h5", 2)) == 2
