"""What users hand over by mistake, in any layout: reported in words, with the file or image, and never a traceback."""

import logging
import os

import numpy as np
import pytest
from PIL import Image

from tests.datasets.coco_tree import CocoTree, indexed, masked, small_coco, square
from tests.datasets.folder_tree import FolderTree
from tests.datasets.voc_tree import faults_of, small_tree
from tests.datasets.voc_tree import indexed as indexed_voc
from wsss_core.config.dataset import Splits, VocDataset
from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.voc.sbd import Sbd
from wsss_core.errors import UserError

PERSON, DOG = 1, 17


@pytest.fixture
def tree(tmp_path) -> CocoTree:
    return small_coco(tmp_path / "coco")


@pytest.fixture
def folder(tmp_path) -> FolderTree:
    tree = FolderTree(tmp_path / "mine")
    names = [f"i{number}.png" for number in range(6)]
    tree.images(names).labels({name: ["cat"] for name in names})
    return tree.splits({name: "val" if name in ("i0.png", "i1.png") else "train" for name in names})


def with_stuff(tree: CocoTree, values: dict[str, int] | int, dtype: type = np.uint8):
    """Settings with pixel maps of one value each."""
    stuff = tree.root.parent / "stuff"
    stuff.mkdir(exist_ok=True)
    for image_id in indexed(tree.write()).image_ids:
        size = (34, 36) if image_id.endswith("25") else (40, 50)
        value = values if isinstance(values, int) else values.get(image_id, 100)
        Image.fromarray(np.full(size, value, dtype)).save(stuff / f"{image_id}.png")
    return tree.dataset.model_copy(update={"stuff_masks": stuff})


def test_what_was_drawn_with_other_class_numbers_is_drawn_again(tree):
    bad = "COCO_val2014_000000000042"
    settings = with_stuff(tree, {"COCO_train2014_000000000009": 0, bad: 200})
    assert faults_of(lambda: masked(tree, settings)).faults[0].image_id == bad
    stuff = tree.root.parent / "stuff"
    for content in tree.files.values():  # persons and dogs change their ids
        for category in content["categories"]:
            category["id"] = {1: 18, 18: 1}.get(category["id"], category["id"])
        for annotation in content["annotations"]:
            annotation["category_id"] = {1: 18, 18: 1}.get(annotation["category_id"], annotation["category_id"])
    times = os.stat(stuff)
    Image.fromarray(np.full((40, 50), 17, np.uint8)).save(stuff / f"{bad}.png")
    os.utime(stuff, ns=(times.st_atime_ns, times.st_mtime_ns))  # mended in place
    masks = masked(tree.write(), settings)
    assert set(np.unique(masks["COCO_train2014_000000000009"])) == {DOG}
    assert set(np.unique(masks[bad])) == {PERSON}


def test_pixel_maps_that_are_not_there(tree, tmp_path):
    settings = tree.dataset.model_copy(update={"stuff_masks": tmp_path / "no"})
    (line,) = raw_dataset(tree.root, settings).unfit_settings()
    assert line.startswith(f"dataset.stuff_masks: there is no folder {tmp_path / 'no'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: holds no pixel map of any image"):
        masked(tree.write(), tree.dataset.model_copy(update={"stuff_masks": tmp_path / "empty"}))


def test_pixel_maps_of_16_bits(tree):
    settings = with_stuff(tree, 300, np.uint16)
    assert "16-bit grey" in str(faults_of(lambda: masked(tree, settings)))


@pytest.mark.parametrize("length", [1_000_000, 10**10])
def test_a_size_beyond_all_memory(tree, length):
    tree.files["train2014"]["images"][0].update(height=length, width=length)
    if length == 10**10:  # no image has it: the image's own counts
        assert masked(tree.write())["COCO_train2014_000000000009"].shape == (40, 50)
    else:
        fault = faults_of(lambda: masked(tree.write())).faults[0]
        assert fault.kind == FaultKind.MASK_SIZE and "'COCO_train2014_000000000009': is 1000000 high" in fault.text


def test_numbers_that_no_computer_holds(tree):
    tree.files["train2014"]["annotations"][0]["area"] = 10**400
    assert PERSON in masked(tree.write())["COCO_train2014_000000000009"]
    text = tree.path("train2014").read_text().replace('"id": 9,', f'"id": 9, "note": {"1" * 5000},', 1)
    tree.path("train2014").write_text(text)
    assert "a number of thousands of digits" in str(faults_of(lambda: indexed(tree)))


def test_file_names_that_no_file_has(tree):
    tree.files["train2014"]["images"][0]["file_name"] = "\ud800.jpg"
    error = faults_of(lambda: indexed(tree.write()))
    assert [fault.kind for fault in error.faults] == [FaultKind.IMAGE_ID]
    assert (tree.root.parent / "made" / "faults.csv").read_text().count("\\ud800") >= 1


def test_a_folder_named_as_a_label_map(tree):
    for name in ("a.jpg", "a.png/b.jpg"):
        number = 100 + len(name)
        tree.add(number, "train2014", [("dog", square(1, 1, 9))])
        source = tree.root / "train2014" / tree.files["train2014"]["images"][-1]["file_name"]
        target = tree.root / "train2014" / name
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
        tree.files["train2014"]["images"][-1]["file_name"] = name
    (fault,) = faults_of(lambda: indexed(tree.write())).faults
    assert fault.kind == FaultKind.IMAGE_ID and "'a.png/b' is in a folder named like the label map of 'a'" in fault.text


def test_a_fault_names_its_image_where_the_file_does_not():
    unnamed = Fault(FaultKind.UNKNOWN_CLASS, "annotations/instances.json", "'dragon' is not in the class list", "img7")
    assert unnamed.text.startswith("'img7': 'dragon'")
    for file, detail in (("images/img7.png", "is damaged"), ("labels.csv", "'img7' is there"), ("a", "image 3 (img7)")):
        assert Fault(FaultKind.BROKEN_IMAGE, file, detail, "img7").text == detail


def test_a_class_name_that_would_break_tables(folder, tmp_path):
    folder.labels({f"i{number}.png": ["big\rcat"] for number in range(6)})
    error = folder.faults(tmp_path / "made")
    assert "control characters: 'big\\rcat'" in str(error)


def test_objects_saved_as_255(folder, tmp_path, caplog):
    for number in range(6):
        folder.mask(f"i{number}.png", np.uint8([[0, 255] * 4] * 6))
    with pytest.raises(DatasetFaults, match="the first class is 1"):
        folder.masks_table(tmp_path / "made")
    for number in range(6):
        folder.mask(f"i{number}.png", np.uint8([[0, 1] * 4] * 6))
    assert len(folder.masks_table(tmp_path / "made")) == 6
    assert not any("the first class is 1" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("Splits.csv", lambda path: path.write_text("image,split\n")),
        ("masks", lambda path: path.write_text("")),
        ("masks", lambda path: path.symlink_to("nowhere")),
        ("Masks", lambda path: path.mkdir()),
    ],
)
def test_optional_files_in_which_nobody_would_look(folder, tmp_path, name, make):
    make(folder.root / name)
    (fault,) = folder.faults(tmp_path / "made").faults
    assert fault.kind == FaultKind.LAYOUT and fault.file == str(folder.root / name)


def test_a_quote_that_is_not_closed(folder, tmp_path):
    table = folder.root / "labels.csv"
    table.write_text(table.read_text() + 'i0.png,"cat\n')
    (fault, *_) = folder.faults(tmp_path / "made").faults
    assert 'are quotes (") closed' in fault.detail


def test_masks_of_no_image_are_reported_with_the_images_faults(folder, tmp_path):
    (folder.root / "images" / "i3.png").write_bytes(b"")
    for number in range(6):
        folder.mask(f"i{number}_mask.png", np.zeros((6, 8), np.uint8))
    kinds = {fault.kind for fault in folder.faults(tmp_path / "made").faults}
    assert kinds == {FaultKind.BROKEN_IMAGE, FaultKind.BROKEN_MASK}


def test_when_faults_stop_there_is_a_page_of_the_rest(folder, tmp_path):
    (folder.root / "images" / "i3.png").write_bytes(b"")
    folder.faults(tmp_path / "made")
    page = (tmp_path / "made" / "faults.html").read_text()
    assert "What stops the work" in page and "i3.png" in page
    assert "skipped.csv" not in page and "What was left out" not in page
    folder.image("i3.png")
    folder.index(tmp_path / "made")
    assert not (tmp_path / "made" / "faults.html").exists()


def test_a_page_of_the_web_saved_as_annotation(tmp_path):
    tree = small_tree(tmp_path / "voc")
    tree.annotation("0002").write_text("<html><body>404</body></html>")
    (fault,) = faults_of(lambda: indexed_voc(tree)).faults
    assert fault.kind == FaultKind.BROKEN_ANNOTATION and "root <html>" in fault.detail


def test_difficult_in_words(tmp_path):
    tree = small_tree(tmp_path / "voc")
    path = tree.annotation("0001")
    path.write_text(path.read_text().replace("<difficult>1<", "<difficult>true<"))
    settings = VocDataset(name="tree", root=tree.root, classes=tree.classes, difficult=False)
    index = indexed_voc(tree, settings)
    assert index.table["labels"][0] == "dog"


def test_side_files_of_an_operating_system(tmp_path):
    for name in ("2009_000001.png", "._2009_000001.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    assert list(Sbd(tmp_path).image_ids([]).values()) == [["2009_000001"]]


def test_masks_of_sbd_alone_make_no_network_again():
    with_list = VocDataset(root="voc", splits=Splits(train="train_aug"))
    assert VocDataset(root="voc").for_masks == ("sbd",) and with_list.for_masks == ()


def test_the_log_says_nothing_of_odd_values_in_a_sound_tree(tree, caplog):
    caplog.set_level(logging.WARNING)
    masked(tree.write())
    assert not any("the first class is 1" in record.message for record in caplog.records)
