import json
import os

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.refinement.tiny_data import SIZES, index_of_images
from wsss_core.datasets.faults import DatasetFaults
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.index_sam_masks import index_sam_masks, state_of_masks
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.sam_masks import read_sam_masks
from wsss_core.errors import UserError

SIZE = (6, 9)


def masks_of(size=SIZE):
    """Three masks: a box, one that touches the border, an empty one."""
    masks = np.zeros((3, *size), bool)
    masks[0, 1:3, 2:5] = masks[1, -2:, -3:] = True
    return masks


def write_files(folder, masks):
    folder.mkdir(parents=True)
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{number}.png")
    (folder / "metadata.csv").write_text("id,area\n")


def lengths(mask, compressed=True):
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(np.concatenate([[False], flat])) != 0)
    return {"size": list(mask.shape), "counts": np.diff([0, *ends, flat.size]).tolist()}


def drawn(segments, size=SIZE):
    masks = np.zeros((len(segments), *size), bool)
    for mask, segment in zip(masks, segments, strict=True):
        mask[segment.box] = segment.inside
    return masks


def test_files_and_run_lengths_hold_the_same(tmp_path):
    masks = masks_of()
    write_files(tmp_path / "a", masks)
    np.testing.assert_array_equal(drawn(read_sam_masks(tmp_path / "a", SIZE)), masks)
    for compressed in (True, False):
        records = [{"segmentation": lengths(mask, compressed), "area": 1} for mask in masks]
        for content in (records, {"image": {}, "annotations": records}):
            (tmp_path / "a.json").write_text(json.dumps(content))
            np.testing.assert_array_equal(drawn(read_sam_masks(tmp_path / "a.json", SIZE)), masks)


def test_masks_follow_a_shrunken_image(tmp_path):
    large = masks_of().repeat(2, axis=1).repeat(2, axis=2)
    write_files(tmp_path / "large", large)
    (tmp_path / "small.json").write_text(json.dumps([{"segmentation": lengths(mask)} for mask in masks_of()]))
    for source in ("large", "small.json"):
        found = read_sam_masks(tmp_path / source, (12, 18), SIZE)
        np.testing.assert_array_equal(drawn(found), masks_of())


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        ("[", "is not a JSON file, or is damaged"),
        ("{}", "holds no list of masks"),
        ("[1]", "mask 1: has no run lengths"),
        ('[{"segmentation": [[1, 2, 3, 4, 5, 6]]}]', "mask 1: has no run lengths"),
        ('[{"segmentation": {"counts": "a"}}]', "mask 1: has no 'size'"),
        ('[{"segmentation": {"size": [6, 8], "counts": [48]}}]', "the mask has 6 x 8 pixels, its image 6 x 9"),
        ('[{"segmentation": {"size": [6, 9], "counts": [60]}}]', "its run lengths cover 60 pixels; expected 54"),
        ('[{"segmentation": {"size": [6, 9], "counts": "\\u0001"}}]', "they are damaged"),
    ],
)
def test_wrong_run_lengths_are_reported(content, reported, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json") as caught:
        read_sam_masks(tmp_path / "a.json", SIZE)
    assert reported in str(caught.value)


def test_wrong_files_are_reported(tmp_path):
    write_files(tmp_path / "a", masks_of())
    Image.fromarray(masks_of()[0].astype(np.uint8)).save(tmp_path / "a" / "0.png")
    with pytest.raises(UserError, match=r"a/0\.png: has the value 1; a segment mask is 255 inside and 0 outside"):
        read_sam_masks(tmp_path / "a", SIZE)
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "b" / "masks.npy", masks_of())
    with pytest.raises(UserError, match=r"holds masks\.npy, but no PNG file"):
        read_sam_masks(tmp_path / "b", SIZE)
    (tmp_path / "c").mkdir()
    assert read_sam_masks(tmp_path / "c", SIZE) == [], "an image without masks"


def write_all(folder):
    for image_id, size in SIZES.items():
        write_files(folder / image_id, masks_of(size))


def test_the_table_names_each_images_masks(tmp_path):
    write_all(tmp_path / "masks")
    index_sam_masks(tmp_path / "masks", index_of_images(tmp_path), tmp_path / "out" / "segments.csv")
    expected = {image_id: tmp_path / "masks" / image_id for image_id in SIZES}
    assert read_label_manifest([tmp_path / "out" / "segments.csv"]) == expected


def test_all_faults_are_reported_at_once(tmp_path):
    folder = tmp_path / "masks"
    write_all(folder)
    (folder / "two.json").write_text("[]")  # and a folder
    (folder / "none").rename(folder / "nobody")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folder / "one" / "1.png")
    with pytest.raises(DatasetFaults) as caught:
        index_sam_masks(folder, index_of_images(tmp_path), tmp_path / "out" / "segments.csv")
    message = str(caught.value)
    assert message.startswith(f"3 faults in the masks of segments in {folder}")
    assert "image 'none' has no masks here; expected <image id>/*.png, or <image id>.json" in message
    assert "there is also two.json" in message
    assert "a mask and its image differ in size (1)" in message and "1.png: the mask has 3 x 3 pixels" in message
    assert not (tmp_path / "out" / "segments.csv").exists() and (tmp_path / "out" / "faults.csv").exists()


def test_masks_of_original_and_shrunken_images_pass(tmp_path):
    columns = dict(index_of_images(tmp_path).table)
    columns |= {f"original_{name}": [2 * side for side in columns[name]] for name in ("height", "width")}
    columns["original_image"] = columns["image"]
    write_all(tmp_path / "masks")
    (tmp_path / "masks" / "one").rename(tmp_path / "gone")
    height, width = SIZES["one"]
    write_files(tmp_path / "masks" / "one", masks_of((2 * height, 2 * width)))
    index = DatasetIndex(("bird", "cat", "dog"), columns)
    index_sam_masks(tmp_path / "masks", index, tmp_path / "out" / "segments.csv")
    assert (tmp_path / "out" / "segments.csv").exists()


def test_other_masks_are_another_state(tmp_path):
    write_all(tmp_path)
    before = state_of_masks(tmp_path)
    assert state_of_masks(tmp_path) == before
    file = tmp_path / "one" / "0.png"
    times = file.stat()
    Image.new("L", (40, 30), 255).save(file)  # in place
    resized = state_of_masks(tmp_path)
    assert resized != before
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000_000))
    before = state_of_masks(tmp_path)
    assert before != resized
    file.unlink()
    assert state_of_masks(tmp_path) != before
