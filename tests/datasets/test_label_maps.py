import numpy as np
import pytest
from PIL import Image

from tests.datasets.voc_tree import indexed, small_tree
from wsss_core.datasets.label_maps import (
    read_label_manifest,
    read_label_map,
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


def test_maps_lie_next_to_their_manifest(tmp_path, index):
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
    ("content", "reported"),
    [
        (None, "there is no such file"),
        ("", "it is damaged \\(it is empty"),
        ("a,b\n1,2\n", "is not a list of label maps"),
        ("image_id,label_map\na,a.png\nb", "it is damaged \\(row 3 has 1 entries"),
        ("image_id,label_map\na,a.png\nb,b.p", "it is damaged \\(row 3 is cut off"),
        ("image_id,label_map\na,a.png,x\n", "it is damaged \\(row 2 has 3 entries"),
        ("image_id,label_map\n\n", "it is damaged \\(row 2 has 0 entries"),
        ("image_id,label_map\na,\n", "it is damaged \\(row 2 names no image or no label map"),
        ("image_id,label_map\na,a\0.png\n", "it is damaged"),
        ("image_id,label_map\na,a.png\na,b.png\n", "it is damaged \\(row 3 lists image 'a' again"),
        ('image_id,label_map\n"a,a.png\n', "it is damaged"),
        (b"image_id,label_map\n\xff,a.png\n", "it is damaged \\('utf-8'"),
    ],
)
def test_a_broken_manifest_is_named(tmp_path, content, reported):
    if content is not None:
        (tmp_path / "m.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=rf"m\.csv: {reported}"):
        read_label_manifest([tmp_path / "m.csv"])


def test_no_masks_are_an_empty_list(tmp_path):
    write_label_manifest({}, tmp_path / "m.csv")
    assert read_label_manifest([tmp_path / "m.csv"]) == {}


def test_an_image_is_in_one_manifest_alone(tmp_path):
    for shard in range(2):
        write_label_manifest({"image": tmp_path / "x.png"}, tmp_path / f"{shard}.csv")
    with pytest.raises(UserError, match=r"1\.csv: .*lists image 'image' again"):
        read_label_manifest([tmp_path / "0.csv", tmp_path / "1.csv"])


def test_damaged_progress_costs_what_is_damaged(tmp_path, index):
    """A record with bytes that are no text, a line that is cut off, a label map that is no picture any more."""
    manifest, source = tmp_path / "artifact" / "labels" / "000-of-001.csv", tmp_path / "input"
    source.write_text("")

    def fail(position):
        if position == 3:
            raise KeyboardInterrupt
        return label_map(position)

    with pytest.raises(KeyboardInterrupt):
        write_label_maps(index, fail, manifest, [source], "making")
    (record,) = (tmp_path / "artifact").glob(".partial/*/finished.txt")
    ids = index.image_ids
    assert record.read_text().splitlines() == ids[:3]
    record.write_bytes(b"\xff\0nobody\n" + "".join(f"{name}\n" for name in ids[:3]).encode() + ids[3][:-1].encode())
    (manifest.parent / f"{ids[1]}.png").write_bytes(b"no picture")
    again = []
    write_label_maps(index, lambda position: again.append(position) or label_map(position), manifest, [source], "m")
    assert again == [1, *range(3, len(ids))]
    for position, path in enumerate(read_label_manifest([manifest]).values()):
        assert (np.asarray(Image.open(path)) == position).all()


def test_values_of_other_classes_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 2, 255, 3]], np.uint8)).save(tmp_path / "x.png")
    assert read_label_map(tmp_path / "x.png", 3).tolist() == [[0, 2, 255, 3]]
    with pytest.raises(UserError, match=r"x\.png: has the value 3; a label map of this data set has 0 .* to 2"):
        read_label_map(tmp_path / "x.png", 2)
