import json

import numpy as np
import pandas
import pytest
from PIL import Image

from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.subset import masks_of_subset, read_subset
from wsss_core.errors import UserError
from wsss_core.evaluation.choose_threshold import (
    choose_threshold,
    read_threshold,
    threshold_from,
)
from wsss_core.evaluation.score import score_cams
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.plan.background_in_words import filled_in

SIZE = (8, 12)
HIGHEST = {"low": 0.4, "high": 0.8}
"""By image, the class map's value on the object; its surroundings have half of it."""

THRESHOLDS = ('"none"', '"0.3"', "null", "true", "NaN", "Infinity", "-0.2", "0", "1", "1e999", "[0.3]")
"""JSON values that are no threshold."""
TABLE = pandas.DataFrame({"image_id": ["low", "high", "scored"], "split": ["train", "train", "val"]})


@pytest.fixture
def maps(tmp_path):
    images = []
    for image_id, value in HIGHEST.items():
        cam = np.full((1, 2, 3), value / 2, np.float32)
        cam[0, :, 0] = value
        full = np.repeat(np.repeat(cam, 4, axis=1), 4, axis=2)
        images.append(ImageCams(image_id, np.array([1]), cam, full, *SIZE))
    write_cam_store(tmp_path / "cams.h5", ["cat", "dog"], {}, images, "float32")
    with CamStoreReader([tmp_path / "cams.h5"]) as reader:
        yield reader


@pytest.fixture
def masks(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :4] = 2
    files = {image_id: tmp_path / f"{image_id}.png" for image_id in HIGHEST}
    for file in files.values():
        Image.fromarray(mask).save(file)
    return files


def chosen_on(listed, maps, masks, folder):
    (folder / "list.txt").write_text(listed)
    found = masks_of_subset(folder / "list.txt", DatasetIndex(("cat", "dog"), TABLE), masks)
    score_cams(maps, found, folder / "scores.csv", image_ids=list(found))
    return choose_threshold(folder / "scores.csv", folder / "threshold.json", "best on a list")


@pytest.mark.parametrize(("listed", "expected"), [("low\n", 0.2), (" high \r\n\n", 0.4), ("\ufefflow\nlow", 0.2)])
def test_the_listed_images_alone_decide(listed, expected, maps, masks, tmp_path):
    assert chosen_on(listed, maps, masks, tmp_path) == pytest.approx(expected)
    chosen = read_threshold(tmp_path / "threshold.json")
    assert chosen == {"threshold": expected, "source": "best on a list", "miou": 1.0, "images": 1}
    assert pandas.read_csv(tmp_path / "scores.csv")["images_scored"].unique().tolist() == [1]


def test_a_list_of_all_images_leaves_nothing_for_pseudo_labels(tmp_path, masks):
    index = DatasetIndex(("cat", "dog"), TABLE)
    ids = index.split("train").image_ids
    (tmp_path / "all.txt").write_text("\n".join(ids))
    assert len(masks_of_subset(tmp_path / "all.txt", index, masks)) == len(ids)
    with pytest.raises(UserError, match=f"lists all {len(ids)} training images"):
        masks_of_subset(tmp_path / "all.txt", index, masks, not_all=True)


def test_a_threshold_for_both_images_is_between(maps, masks, tmp_path):
    # From 0.4 on the low image's object is gone, below it the high image's surroundings are object: twice as much.
    assert chosen_on("low\nhigh\n", maps, masks, tmp_path) == 0.4


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("", "names no image"),
        ("low\nother\n", r"'other' is no training image \(1 of 2"),
        ("scored\n", "'scored' is no training image"),
        ("low\nhigh\n", "'high' has no mask"),
    ],
)
def test_a_wrong_list_is_reported(listed, message, maps, masks, tmp_path):
    del masks["high"]
    with pytest.raises(UserError, match=message):
        chosen_on(listed, maps, masks, tmp_path)


def test_a_list_that_is_no_text_is_reported(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"list\.txt: the list of images cannot be read"):
        read_subset(tmp_path / "list.txt")
    with pytest.raises(UserError, match="the list of images cannot be read"):
        read_subset(tmp_path / "a\0b")


def test_nothing_to_choose_by_is_reported(tmp_path):
    pandas.DataFrame({"threshold": [0, 0.1], "miou": [None, None]}).to_csv(tmp_path / "s.csv")
    with pytest.raises(UserError, match="there are no masks to choose a threshold with"):
        choose_threshold(tmp_path / "s.csv", tmp_path / "t.json", "x")


def test_the_threshold_is_above_zero(tmp_path):
    pandas.DataFrame({"threshold": [0, 0.1, 0.2, 0.3], "miou": [0.9, 0.3, 0.3, 0.2], "images_scored": 1}).to_csv(
        tmp_path / "s.csv"
    )
    assert choose_threshold(tmp_path / "s.csv", tmp_path / "t.json", "x") == 0.1


@pytest.mark.parametrize(
    "content",
    ["", "[", "[]", "3", "{}", 100_000 * "[", *(f'{{"threshold": {value}}}' for value in THRESHOLDS)],
)
def test_a_damaged_file_is_reported(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(UserError, match=r"t\.json: holds no chosen threshold"):
        read_threshold(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (None, "there is no such file"),
        ("", "it is empty"),
        ("miou\n0.5\n", "no column 'threshold'"),
        ("threshold\n0.5\n", "no column 'miou'"),
        ("threshold,miou,miou\n0.5,1,1\n", "two columns with the same name"),
        ("threshold,miou,images_scored\n", "it has no row"),
        ("threshold,miou,images_scored\n0.1,0.5,3\n0.2,0.", "cut off|row 3"),
        ("threshold,miou,images_scored\nx,0.5,3\n", "'threshold'"),
        ("threshold,miou,images_scored\n0.1,high,3\n", "'miou'"),
        ("threshold,miou,images_scored\n0.1,7,3\n", "'miou' has values outside"),
        ("threshold,miou,images_scored\n-0.1,0.5,3\n", "'threshold' has values outside"),
        ("threshold,miou,iou_cat\n0.1,0.5,inf\n", "'iou_cat' has values outside"),
        ("threshold,miou\n0.1,0.5\n", "no column 'images_scored'"),
        ("threshold,miou,images_scored\n0.1,0.5,\n", "'images_scored'"),
        ("threshold,miou,images_scored\n0.0,0.5,3\n", "no threshold above 0"),
    ],
)
def test_damaged_scores_are_reported(tmp_path, content, reported):
    if content is not None:
        (tmp_path / "s.csv").write_text(content)
    with pytest.raises(UserError, match=rf"s\.csv: .*({reported})"):
        choose_threshold(tmp_path / "s.csv", tmp_path / "t.json", "x")
    assert not (tmp_path / "t.json").exists()


def test_what_was_chosen_stands_in_the_conditions(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"threshold": 0.3, "source": "x"}))
    assert filled_in({"background": "{threshold} (best)", "crf": "yes"}, [str(path)]) == {
        "background": "0.30 (best)",
        "crf": "yes",
    }
    assert filled_in({"background": "0.25 (fixed)"}, []) == {"background": "0.25 (fixed)"}
    assert threshold_from(0.25, []) == 0.25 and threshold_from(None, [str(path)]) == 0.3
