import numpy as np
import pytest
from PIL import Image

from tests.datasets.voc_tree import indexed, small_tree
from wsss_core.datasets.label_maps import (
    read_label_manifest,
    write_label_manifest,
    write_label_map_files,
    write_label_maps,
)
from wsss_core.errors import UserError


@pytest.fixture
def index(tmp_path):
    return indexed(small_tree(tmp_path / "voc"))


def label_map(value):
    return np.full((4, 5), value, np.uint8)


def test_maps_lie_beside_their_manifest(tmp_path, index):
    manifest = tmp_path / "artifact" / "labels" / "000-of-001.csv"
    write_label_maps(index, label_map, manifest, [], "making")
    maps = read_label_manifest([manifest])
    assert list(maps) == index.image_ids
    for position, path in enumerate(maps.values()):
        assert path.parent == manifest.parent
        assert (np.asarray(Image.open(path)) == position).all()
    (left,) = (tmp_path / "artifact").glob(".partial/*/*")
    assert left.match("finished-*-000-of-001.csv")


def test_a_rerun_keeps_what_a_killed_run_had_finished(tmp_path, index):
    manifest, source = tmp_path / "artifact" / "labels" / "000-of-001.csv", tmp_path / "input"
    source.write_text("")
    made = []

    def make(position):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(position)
        return label_map(position)

    with pytest.raises(KeyboardInterrupt):
        write_label_maps(index, make, manifest, [source], "making")
    assert not manifest.exists()
    again = []
    write_label_maps(index, lambda position: again.append(position) or label_map(position), manifest, [source], "m")
    assert again == list(range(2, len(index)))


def test_no_manifest_lists_a_map_that_was_not_written(tmp_path, index):
    manifest = tmp_path / "artifact" / "labels" / "000-of-001.csv"
    with pytest.raises(RuntimeError, match=f"no label map was made of image '{index.image_ids[0]}'"):
        write_label_map_files(index, lambda files: (position for position in files if position), manifest, [], "making")
    assert not manifest.exists()


def test_maps_of_other_inputs_are_made_again(tmp_path, index):
    manifest, source = tmp_path / "artifact" / "labels" / "000-of-001.csv", tmp_path / "input"
    source.write_text("")

    def fail(position):
        if position == 1:
            raise KeyboardInterrupt
        return label_map(7)

    with pytest.raises(KeyboardInterrupt):
        write_label_maps(index, fail, manifest, [source], "making")
    source.write_text("changed")
    write_label_maps(index, label_map, manifest, [source], "making")
    first = next(iter(read_label_manifest([manifest]).values()))
    assert (np.asarray(Image.open(first)) == 0).all()


def test_several_manifests_are_one_list(tmp_path):
    for shard in range(2):
        write_label_manifest({f"image {shard}": tmp_path / "x.png"}, tmp_path / f"{shard}.csv")
    assert list(read_label_manifest([tmp_path / "0.csv", tmp_path / "1.csv"])) == ["image 0", "image 1"]


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot be read"), ("", "is empty"), ("a,b\n1,2\n", "is no list of label maps")]
)
def test_a_broken_manifest_is_named(tmp_path, content, told):
    if content is not None:
        (tmp_path / "m.csv").write_text(content)
    with pytest.raises(UserError, match=rf"m\.csv: {told}"):
        read_label_manifest([tmp_path / "m.csv"])


def test_no_masks_are_an_empty_list(tmp_path):
    write_label_manifest({}, tmp_path / "m.csv")
    assert read_label_manifest([tmp_path / "m.csv"]) == {}
