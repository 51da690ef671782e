"""Tests of ``wsss_core.datasets.voc``: every fault of a data set is found and told at once."""

import logging
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.voc_tree import VocTree
from wsss_core.config.dataset import Dataset, Splits
from wsss_core.datasets import images, voc
from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind
from wsss_core.datasets.index import DatasetIndex, read_index, read_mask_index
from wsss_core.datasets.voc import index_dataset, index_masks


@pytest.fixture
def tree(tmp_path) -> VocTree:
    """Three training and two validation images, two of the former and all of the latter masked."""
    tree = VocTree(tmp_path / "voc")
    tree.add("0001", ["dog", "cat", "dog"], "train", mask=True)
    tree.add("0002", ["bird"], "train", size=(3, 9))
    tree.add("nan", ["cat"], "train", mask=True)
    tree.add("0004", ["cat", "bird"], "val", mask=True)
    tree.add("0005", ["dog"], "val", size=(11, 4), mask=True)
    return tree.write_lists()


def indexed(tree: VocTree, dataset: Dataset | None = None) -> DatasetIndex:
    made = tree.root.parent / "made"
    index_dataset(tree.root, dataset or tree.dataset, made / "index.csv", made / "classes.json")
    return read_index(made / "index.csv", made / "classes.json")


def masked(tree: VocTree) -> dict[str, Path]:
    path = tree.root.parent / "made" / "masks.csv"
    index_masks(tree.root, indexed(tree), path)
    return read_mask_index(path)


def faults_of(action: Callable[[], object]) -> DatasetFaults:
    with pytest.raises(DatasetFaults) as caught:
        action()
    return caught.value


def only_fault(tree: VocTree, kind: FaultKind, dataset: Dataset | None = None) -> Fault:
    """The one fault of the tree, checked to be of ``kind`` and to be told in the message."""
    error = faults_of(lambda: indexed(tree, dataset))
    assert [fault.kind for fault in error.faults] == [kind], str(error)
    assert str(error).startswith(f"1 fault in the data set {tree.root}:\n\n{kind} (1):\n")
    assert f"  {error.faults[0].file}: {error.faults[0].detail}" in str(error)
    assert not (tree.root.parent / "made").exists()
    return error.faults[0]


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])


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

    monkeypatch.setattr("wsss_core.datasets.voc.read_mask", refuse)
    tree.mask("0001").write_bytes(b"nonsense")
    indexed(tree)


def test_relative_root_stays_relative(tree, monkeypatch):
    monkeypatch.chdir(tree.root.parent)
    index_dataset("voc", tree.dataset, "index.csv", "classes.json")
    index = read_index("index.csv", "classes.json")
    assert index.image_paths[0] == Path("voc/JPEGImages/0001.jpg")
    index_masks("voc", index, "masks.csv")
    assert read_mask_index("masks.csv")["nan"] == Path("voc/SegmentationClass/nan.png")


def test_each_image_is_decoded_once(tree, monkeypatch):
    read = []
    monkeypatch.setattr(
        voc, "read_image", lambda path: read.append(path) or images.read_image(path)
    )
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
    assert "1 annotations give another size" in caplog.text
    assert str(tree.annotation("0002")) in caplog.text


def test_annotation_without_size_is_fine(tree, caplog):
    tree.annotation("0002").write_text(
        "<annotation><object><name> bird\n</name></object></annotation>"
    )
    assert indexed(tree).table.loc[1, "labels"] == "bird"
    assert not caplog.records


def test_missing_root(tmp_path):
    dataset = Dataset(root=tmp_path / "no")
    error = faults_of(lambda: index_dataset(tmp_path / "no", dataset, "i.csv", "c.json"))
    assert len(error.faults) == 1
    assert f"{tmp_path / 'no'}: does not exist; expected a folder that holds JPEG" in str(error)
    (tmp_path / "no").write_text("")
    error = faults_of(lambda: index_dataset(tmp_path / "no", dataset, "i.csv", "c.json"))
    assert "is a file" in str(error)


def test_root_one_folder_too_high(tree):
    root = tree.root.parent
    error = faults_of(lambda: index_dataset(root, tree.dataset, "i.csv", "c.json"))
    assert {fault.kind for fault in error.faults} == {FaultKind.LAYOUT}
    assert {Path(fault.file).name for fault in error.faults} == {
        "JPEGImages",
        "Annotations",
        "Segmentation",
    }
    assert f"{tree.root / 'JPEGImages'} exists: is 'root' one folder too high?" in str(error)


@pytest.mark.parametrize("folder", ["JPEGImages", "Annotations"])
def test_missing_folder_is_one_fault(tree, folder):
    (tree.root / folder).rename(tree.root / "elsewhere")
    fault = only_fault(tree, FaultKind.LAYOUT)
    assert fault.file == str(tree.root / folder)
    assert "expected a folder with the" in fault.detail


def test_missing_folder_of_lists(tree):
    (tree.root / "ImageSets").rename(tree.root / "elsewhere")
    assert "lists of image ids" in only_fault(tree, FaultKind.LAYOUT).detail


def test_missing_list(tree):
    tree.list("val").rename(tree.list("valid"))
    fault = only_fault(tree, FaultKind.LAYOUT)
    assert fault.file == str(tree.list("val"))
    assert "the val images, one id a line (lists there: train, valid)" in fault.detail


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"\xef\xbb\xbf"])
def test_empty_list(tree, content):
    tree.list("val").write_bytes(content)
    assert "is empty" in only_fault(tree, FaultKind.LIST).detail


def test_list_of_another_encoding(tree):
    tree.list("val").write_bytes(b"\xff\xfe0\x001\x00")
    assert "UTF-8" in only_fault(tree, FaultKind.LIST).detail


def test_one_list_for_both_splits(tree):
    dataset = tree.dataset.model_copy(update={"splits": Splits(train="train", val="train")})
    assert "list of both splits" in only_fault(tree, FaultKind.LIST, dataset).detail


@pytest.mark.parametrize(
    "line",
    ["/JPEGImages/0001.jpg /SegmentationClass/0001.png", "sub/0001", "a\\b", "..", ".", "a\x00b"],
)
def test_unusable_id(tree, line):
    tree.lists["train"].append(line)
    tree.write_lists()
    fault = only_fault(tree, FaultKind.IMAGE_ID)
    assert fault.detail.startswith(f"line 4 is {line!r}; expected the name of the image alone")


def test_repeated_id(tree):
    tree.lists["train"] += ["0001", "0001"]
    tree.write_lists()
    fault = only_fault(tree, FaultKind.REPEATED_ID)
    assert fault.file == str(tree.list("train"))
    assert "'0001' is in lines 1, 4, 5" in fault.detail


def test_id_in_both_splits(tree):
    tree.lists["val"].append("0001")
    tree.write_lists()
    fault = only_fault(tree, FaultKind.SHARED_ID)
    assert fault.file == str(tree.list("val"))
    assert "'0001' is in train.txt too" in fault.detail


def test_missing_image(tree):
    tree.image("0002").unlink()
    fault = only_fault(tree, FaultKind.MISSING_IMAGE)
    assert fault.file == str(tree.image("0002"))
    assert fault.detail == "add the image or take '0002' off its list"


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".png"])
def test_image_of_another_suffix(tree, suffix):
    tree.image("0002").rename(tree.image("0002").with_suffix(suffix))
    assert f"'0002{suffix}' is there" in only_fault(tree, FaultKind.MISSING_IMAGE).detail


def test_id_with_suffix(tree):
    tree.lists["train"][1] = "0002.jpg"
    tree.annotation("0002").rename(tree.annotation("0002.jpg"))
    tree.write_lists()
    assert "'0002.jpg' is there" in only_fault(tree, FaultKind.MISSING_IMAGE).detail


def test_overlong_id_is_a_missing_file(tree):
    tree.lists["train"].append("x" * 300)
    tree.write_lists()
    kinds = [fault.kind for fault in faults_of(lambda: indexed(tree)).faults]
    assert kinds == [FaultKind.MISSING_IMAGE, FaultKind.MISSING_ANNOTATION]


def test_truncated_image(tree):
    cut(tree.image("0002"))
    fault = only_fault(tree, FaultKind.BROKEN_IMAGE)
    assert fault.file == str(tree.image("0002"))
    assert fault.detail.startswith("is truncated or damaged")


def test_truncated_image_still_tells_its_size_to_the_mask_check(tree):
    Image.effect_noise((90, 60), 100).save(tree.image("0002"))
    cut(tree.image("0002"))
    tree.write_mask("0002", np.zeros((90, 60), dtype=np.uint8))
    kinds = [fault.kind for fault in faults_of(lambda: indexed(tree)).faults]
    assert kinds == [FaultKind.BROKEN_IMAGE, FaultKind.MASK_SIZE]


def test_missing_annotation(tree):
    tree.annotation("0002").unlink()
    assert only_fault(tree, FaultKind.MISSING_ANNOTATION).file == str(tree.annotation("0002"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<annotation><object>",
        b"\x00\x01",
        b"<?xml version='1.0' encoding='no-such'?><annotation/>",
        b"<annotation><object><name>cat</name></object><object/></annotation>",
        b"<annotation><object><name> </name></object></annotation>",
    ],
)
def test_broken_annotation(tree, content):
    tree.annotation("0002").write_bytes(content)
    assert only_fault(tree, FaultKind.BROKEN_ANNOTATION).file == str(tree.annotation("0002"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("brid", "did you mean 'bird'?"),
        ("DOG", "did you mean 'dog'?"),
        ("tvmonitor", "add it to 'classes'"),
    ],
)
def test_unknown_class(tree, name, advice):
    tree.annotate("0002", [name], size=(3, 9))
    fault = only_fault(tree, FaultKind.UNKNOWN_CLASS)
    assert fault.file == str(tree.annotation("0002"))
    assert fault.detail == f"{name!r} is not in the class list ({advice})"


def test_each_unknown_class_is_told_before_its_repetitions(tree):
    tree.annotate("0001", ["cow"])
    tree.annotate("0002", ["cow"], size=(3, 9))
    tree.annotate("0005", ["sheep"], size=(11, 4))
    error = faults_of(lambda: indexed(tree))
    assert [Path(fault.file).stem for fault in error.faults] == ["0001", "0005", "0002"]


def test_image_without_class(tree):
    tree.annotate("0005", [], size=(11, 4))
    assert only_fault(tree, FaultKind.NO_CLASS).file == str(tree.annotation("0005"))


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
    assert fault.detail == (
        "has the values 4, 254; allowed are 0 (background) to 3 (bird) and 255 (ignored)"
    )


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


def test_all_faulty_masks_are_told_at_once(tree):
    tree.write_mask("0001", np.full((6, 7), 9, dtype=np.uint8))
    cut(tree.mask("nan"))
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


def test_every_fault_at_once(tree):
    """One message names every fault, so that one round of repairs is enough."""
    for image_id in "abcdefg":
        tree.add(image_id, ["cat"], "train")
    tree.image("a").unlink()
    cut(tree.image("b"))
    tree.annotation("c").unlink()
    tree.annotation("d").write_text("<annotation>")
    tree.annotate("e", ["dgo", "cat"])
    tree.annotate("f", [])
    tree.write_mask("0001", np.zeros((2, 2), dtype=np.uint8))
    tree.write_mask("0002", np.full((3, 9), 77, dtype=np.uint8))
    Image.new("RGB", (8, 6)).save(tree.mask("nan"))
    tree.mask("0005").unlink()
    tree.add("h", ["cat"], "val", mask=True)
    tree.lists["train"] += ["g", "0004", "sub/i"]
    tree.write_lists()

    error = faults_of(lambda: indexed(tree))
    message = str(error)
    planted = {
        FaultKind.IMAGE_ID: (tree.list("train"), "'sub/i'"),
        FaultKind.REPEATED_ID: (tree.list("train"), "'g' is in lines"),
        FaultKind.SHARED_ID: (tree.list("val"), "'0004' is in train.txt too"),
        FaultKind.MISSING_IMAGE: (tree.image("a"), "add the image"),
        FaultKind.BROKEN_IMAGE: (tree.image("b"), "truncated"),
        FaultKind.MISSING_ANNOTATION: (tree.annotation("c"), "add the annotation"),
        FaultKind.BROKEN_ANNOTATION: (tree.annotation("d"), "no well-formed XML"),
        FaultKind.UNKNOWN_CLASS: (tree.annotation("e"), "did you mean 'dog'?"),
        FaultKind.NO_CLASS: (tree.annotation("f"), "has no <object>"),
        FaultKind.MISSING_MASK: (tree.mask("0005"), "other validation images have a mask"),
        FaultKind.MASK_SIZE: (tree.mask("0001"), "is 2 high and 2 wide"),
        FaultKind.MASK_VALUES: (tree.mask("0002"), "has the values 77"),
        FaultKind.BROKEN_MASK: (tree.mask("nan"), "pixels of kind RGB"),
    }
    assert {fault.kind for fault in error.faults} == set(planted)
    for kind, (file, words) in planted.items():
        assert f"\n\n{kind} (1):\n  {file}: " in message
        assert words in message
    assert message.startswith("13 faults in the data set")
    assert not (tree.root.parent / "made").exists()


def test_faults_of_lists_and_folders_at_once(tree):
    """What cannot be planted beside the others: it hides the images they are about."""
    (tree.root / "Annotations").rename(tree.root / "elsewhere")
    tree.list("train").write_text("")
    tree.list("val").write_text("0004\n0005\ngone\n")
    tree.mask("0005").unlink()
    tree.write_mask("0004", np.full((1, 1), 9, dtype=np.uint8))
    kinds = [fault.kind for fault in faults_of(lambda: indexed(tree)).faults]
    assert kinds == [
        FaultKind.LAYOUT,
        FaultKind.LIST,
        FaultKind.MISSING_IMAGE,
        FaultKind.MISSING_MASK,
        FaultKind.MISSING_MASK,
        FaultKind.MASK_SIZE,
        FaultKind.MASK_VALUES,
    ]


def test_long_lists_of_faults_are_capped_in_the_message_only(tree):
    tree.lists["train"] += [f"gone{number:03}" for number in range(70)]
    tree.write_lists()
    error = faults_of(lambda: indexed(tree))
    assert len(error.faults) == 140
    assert len(re.findall(r"gone\d+\.jpg: ", str(error))) == 50
    assert len(re.findall(r"gone\d+\.xml: ", str(error))) == 50
    assert str(error).count("... and 20 more") == 2


def test_faults_survive_pickling():
    fault = Fault(FaultKind.LIST, "train.txt", "is empty")
    error = pickle.loads(pickle.dumps(DatasetFaults("the data set x", [fault])))
    assert error.faults == [fault]
    assert "train.txt: is empty" in str(error)


def test_650_small_images_take_seconds(tmp_path):
    tree = VocTree(tmp_path / "voc")
    for number in range(650):
        split = "train" if number < 500 else "val"
        tree.add(f"{number:04}", ["cat", "dog"], split, size=(96, 96), mask=True)
    tree.write_lists()
    begin = time.perf_counter()
    index = indexed(tree)
    seconds = time.perf_counter() - begin
    assert len(index) == 650
    assert seconds < 10, "about 0.5 s on an idle core"
