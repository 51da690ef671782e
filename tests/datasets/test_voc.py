"""Tests of ``wsss_core.datasets.voc.voc``: sound data sets, and faults of masks alone."""

import logging
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.voc_tree import VocTree, cut_short, faults_of, index_into, indexed, masked, small_tree
from wsss_core.config.dataset import Splits
from wsss_core.datasets import image_check, images
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import read_index
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest


@pytest.fixture
def tree(tmp_path) -> VocTree:
    return small_tree(tmp_path / "voc")


def test_index(tree):
    index = indexed(tree)
    assert index.classes == ("cat", "dog", "bird")
    assert index.image_ids == ["0001", "0002", "nan", "0004", "0005"]
    assert index.table["split"].tolist() == ["train"] * 3 + ["val"] * 2
    assert index.image_paths[0] == tree.root / "JPEGImages" / "0001.jpg"
    assert index.table["labels"].tolist() == ["cat;dog", "bird", "cat", "cat;bird", "dog"]
    sizes = list(zip(index.table["height"], index.table["width"], strict=True))
    assert sizes == [(6, 8), (3, 9), (6, 8), (6, 8), (11, 4)]


def test_index_masks(tree):
    masks = masked(tree)
    assert list(masks) == ["0001", "nan", "0004", "0005"]
    assert masks["nan"] == tree.mask("nan")


def test_index_does_not_look_at_masks(tree, monkeypatch):
    def refuse(path: Path) -> np.ndarray:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("wsss_core.datasets.mask_check.read_mask", refuse)
    tree.mask("0001").write_bytes(b"nonsense")
    assert "0001" in indexed(tree).image_ids


def test_relative_root_stays_relative(tree, monkeypatch):
    monkeypatch.chdir(tree.root.parent)
    index_into(Path("."), Path("voc"), tree.dataset)
    index = read_index("index.csv", "classes.json")
    assert index.image_paths[0] == Path("voc/JPEGImages/0001.jpg")
    index_masks(raw_dataset("voc", tree.dataset), index, "masks.csv", "skipped_masks.csv")
    assert read_label_manifest(["masks.csv"])["nan"].samefile("voc/SegmentationClass/nan.png")


def test_each_image_is_decoded_once(tree, monkeypatch):
    read = []
    monkeypatch.setattr(image_check, "read_image", lambda path: read.append(path) or images.read_image(path))
    indexed(tree)
    assert len(read) == len(set(read)) == 5


def test_other_lists(tree):
    tree.list("train").rename(tree.list("first"))
    dataset = tree.dataset.model_copy(update={"splits": Splits(train="first")})
    assert len(indexed(tree, dataset)) == 5


def test_lists_with_windows_line_ends_byte_order_mark_and_blank_lines(tree):
    tree.list("train").write_bytes(b"\xef\xbb\xbf0001\r\n\r\n 0002 \r\nnan")
    assert indexed(tree).split("train").image_ids == ["0001", "0002", "nan"]


def test_unusual_ids(tmp_path):
    ids = ["a b", "été", "猫", "x,y", 'say "cat"', "a.b", "[1]*?", "NULL", "1e3"]
    tree = VocTree(tmp_path / "voc folder")
    for image_id in ids:
        tree.add(image_id, ["cat"], "train", mask=True)
    tree.add("last", ["dog"], "val").write_lists()
    index = indexed(tree)
    assert index.image_ids == [*ids, "last"]
    assert all(path.is_file() for path in index.image_paths)


def test_one_pixel_images_are_kept(tmp_path):
    tree = VocTree(tmp_path / "voc")
    tree.add("dot", ["cat"], "train", size=(1, 1), mask=True)
    tree.add("line", ["dog"], "val", size=(1, 30), mask=True).write_lists()
    assert list(masked(tree)) == ["dot", "line"]
    assert indexed(tree).table["height"].tolist() == [1, 1]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_turned_image_has_its_upright_size(tree, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (9, 3)).save(tree.image("0002"), exif=exif)
    upright = (9, 3) if orientation >= 5 else (3, 9)
    tree.write_mask("0002", np.zeros(upright, dtype=np.uint8))
    assert "0002" in masked(tree)
    assert tuple(indexed(tree).table.loc[1, ["height", "width"]]) == upright
    tree.write_mask("0002", np.zeros((upright[1], upright[0]), dtype=np.uint8))
    (fault,) = faults_of(lambda: masked(tree)).faults
    assert fault.kind == FaultKind.MASK_SIZE


def test_annotation_of_another_size_is_a_warning(tree, caplog):
    tree.annotate("0002", ["bird"], size=(500, 375))
    with caplog.at_level(logging.WARNING):
        index = indexed(tree)
    assert index.table.loc[1, "height"] == 3
    assert f"{FaultKind.OTHER_SIZE}: {tree.image('0002')}: {tree.annotation('0002')} says 500 high" in caplog.text


def test_annotation_without_size_is_fine(tree, caplog):
    tree.annotation("0002").write_text("<annotation><object><name> bird\n</name></object></annotation>")
    assert indexed(tree).table.loc[1, "labels"] == "bird"
    assert str(FaultKind.OTHER_SIZE) not in caplog.text


def test_mask_of_another_size(tree):
    tree.write_mask("0001", np.zeros((8, 6), dtype=np.uint8))
    (fault,) = faults_of(lambda: masked(tree)).faults
    assert fault.kind == FaultKind.MASK_SIZE
    assert fault.detail == "is 8 high and 6 wide; its image, upright, is 6 high and 8 wide"


def test_mask_values(tree):
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[0, :5] = [3, 255, 4, 4, 254]
    tree.write_mask("0001", mask)
    (fault,) = faults_of(lambda: masked(tree)).faults
    assert fault.kind == FaultKind.MASK_VALUES
    assert fault.detail == ("has the values 4, 254; allowed are 0 (background) to 3 (bird) and 255 (ignored)")


def test_mask_as_colours(tree):
    Image.new("RGB", (8, 6)).save(tree.mask("0001"))
    (fault,) = faults_of(lambda: masked(tree)).faults
    assert fault.kind == FaultKind.BROKEN_MASK
    assert "palette or 8-bit grey" in fault.detail


def test_validation_mask_missing_among_others(tree):
    tree.mask("0005").unlink()
    (fault,) = faults_of(lambda: masked(tree)).faults
    assert (fault.kind, fault.file) == (FaultKind.MISSING_MASK, str(tree.mask("0005")))


def test_validation_without_any_mask_is_fine(tree):
    tree.mask("0004").unlink()
    tree.mask("0005").unlink()
    assert list(masked(tree)) == ["0001", "nan"]


def test_no_masks_at_all(tree, caplog):
    (tree.root / "SegmentationClass").rename(tree.root / "elsewhere")
    assert masked(tree) == {}
    assert "has no masks" in caplog.text


def test_all_faulty_masks_are_reported_at_once(tree):
    tree.write_mask("0001", np.full((6, 7), 9, dtype=np.uint8))
    cut_short(tree.mask("nan"))
    tree.mask("0005").unlink()
    error = faults_of(lambda: masked(tree))
    assert {fault.kind for fault in error.faults} == {
        FaultKind.MASK_SIZE,
        FaultKind.MASK_VALUES,
        FaultKind.BROKEN_MASK,
        FaultKind.MISSING_MASK,
    }
    assert str(error).startswith(f"4 faults in the masks of the data set {tree.root}:")
    assert not (tree.root.parent / "made" / "masks.csv").exists()


def test_650_small_images_take_seconds(tmp_path):
    tree = VocTree(tmp_path / "voc")
    for number in range(650):
        split = "train" if number < 500 else "val"
        tree.add(f"{number:04}", ["cat", "dog"], split, size=(96, 96), mask=True)
    tree.write_lists()
    begin = time.process_time()
    index = indexed(tree)
    seconds = time.process_time() - begin
    assert len(index) == 650
    assert seconds < 10, "about 0.5 s on an idle core"
