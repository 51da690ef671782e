"""Tests of ``wsss_core.datasets.coco.coco``: what is indexed, and that every fault is found and reported at once."""

import json
import logging
import random
import shutil
from pathlib import Path

import pandas
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tests.datasets.coco_tree import COCO_IDS, CocoTree, indexed, small_coco, square
from tests.datasets.voc_tree import cut_short, faults_of, index_into
from wsss_core.config.class_names import COCO_CLASSES
from wsss_core.config.dataset import CocoDataset
from wsss_core.datasets.coco.coco_file_names import image_id_of
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import read_index


@pytest.fixture
def tree(tmp_path) -> CocoTree:
    return small_coco(tmp_path / "coco")


def only_fault(tree: CocoTree, kind: FaultKind, dataset: CocoDataset | None = None) -> Fault:
    """The one fault of the tree, checked to be of ``kind``."""
    error = faults_of(lambda: indexed(tree, dataset))
    assert [fault.kind for fault in error.faults] == [kind], str(error)
    assert f"  {error.faults[0].file}: {error.faults[0].text}" in str(error)
    return error.faults[0]


def skipping(tree: CocoTree) -> CocoDataset:
    return tree.dataset.model_copy(update={"on_fault": "skip"})


def test_index(tree, caplog):
    caplog.set_level(logging.INFO)
    index = indexed(tree.write())
    assert index.classes == COCO_CLASSES
    assert index.image_ids == [
        "COCO_train2014_000000000009",
        "COCO_train2014_000000000025",
        "COCO_train2014_000000000030",
        "COCO_val2014_000000000042",
        "COCO_val2014_000000000073",
    ]
    assert index.table["labels"].tolist() == ["person;dog", "toothbrush", "person;cat", "dog", ""]
    assert index.table["height"].tolist() == [40, 34, 40, 40, 40]
    assert index.image_paths[0] == tree.root / "train2014" / "COCO_train2014_000000000009.jpg"


def test_training_images_without_an_object_are_left_out_with_a_count_in_the_log(tree, caplog):
    caplog.set_level(logging.INFO)
    index = indexed(tree.write())
    assert "COCO_train2014_000000000031" not in index.image_ids
    assert any("1 images are left out" in record.message for record in caplog.records)
    skipped = pandas.read_csv(tree.root.parent / "made" / "skipped.csv")
    assert skipped["image_id"].tolist() == ["COCO_train2014_000000000031"]


def test_persons_are_no_background_and_ids_with_gaps_get_the_numbers_of_their_names(tmp_path, dice):
    tree = CocoTree(tmp_path / "coco")
    for number, name in enumerate(COCO_CLASSES, start=1):
        tree.add(number, "train2014", [(name, square(1, 1, 8))])
    tree.add(1, "val2014", [("person", square(1, 1, 8))])
    for content in tree.files.values():
        dice.shuffle(content["categories"])
    matrix = indexed(tree.write()).split("train").label_matrix
    assert matrix.shape == (80, 80)
    assert matrix.diagonal().all() and matrix.sum() == 80
    assert tree.ids["person"] == 1 and COCO_CLASSES.index("person") == 0
    assert tree.ids["toothbrush"] == 90 and COCO_CLASSES.index("toothbrush") == 79
    assert tree.ids["stop sign"] == 13 and COCO_CLASSES.index("stop sign") == 11  # 12 is nobody's


def test_a_crowd_alone_is_a_label(tree):
    tree.annotate(31, "train2014", "sheep", square(3, 3, 9), iscrowd=1)
    assert indexed(tree.write()).table["labels"].tolist()[3] == "sheep"


def test_annotations_may_stand_before_images_and_categories(tree):
    tree.write()
    before = indexed(tree).table
    for split, content in tree.files.items():
        tree.path(split).write_text(json.dumps(dict(sorted(content.items()))))  # annotations, categories, images
    pandas.testing.assert_frame_equal(indexed(tree).table, before)


def test_images_in_a_folder_images(tree):
    tree.write()
    (tree.root / "images").mkdir()
    for split in ("train2014", "val2014"):
        (tree.root / split).rename(tree.root / "images" / split)
    assert indexed(tree).image_paths[0].parent == tree.root / "images/train2014"


def test_other_splits(tree):
    tree.write()
    tree.path("train2014").rename(tree.path("own"))
    (tree.root / "train2014").rename(tree.root / "own")
    dataset = CocoDataset.model_validate(
        {"format": "coco", "root": tree.root, "name": "coco14", "splits": {"train": "own"}}
    )
    assert len(indexed(tree, dataset)) == 5


def test_own_categories(tmp_path):
    tree = CocoTree(tmp_path / "coco", ["Bär", "chat noir", "猫"], [7, 1000000007, 0])
    tree.add(1, "train2014", [("猫", square(1, 1, 8)), ("Bär", square(1, 1, 8))])
    tree.add(2, "val2014", [("chat noir", square(1, 1, 8))])
    for split, content in tree.files.items():  # as text in UTF-8 and not with \u
        tree.path(split).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    assert indexed(tree).table["labels"].tolist() == ["Bär;猫", "chat noir"]


def test_inputs_are_files_and_folders_and_no_masks(tree, tmp_path):
    dataset = tree.dataset.model_copy(update={"stuff_masks": tmp_path / "stuff"})
    raw = raw_dataset(tree.root, dataset)
    names = {path.relative_to(tree.root).as_posix() for path in raw.inputs()}
    assert names == {
        "train2014",
        "val2014",
        "annotations/instances_train2014.json",
        "annotations/instances_val2014.json",
    }
    assert raw.mask_inputs() == [tmp_path / "stuff"]
    assert not raw.has_masks()
    (tmp_path / "stuff").mkdir()
    assert raw.has_masks()
    assert not raw_dataset(tree.root, tree.dataset).has_masks()
    tree.write()
    assert raw_dataset(tree.root, tree.dataset).has_masks()
    assert raw_dataset(tree.root, tree.dataset).mask_inputs() == [tree.path("train2014"), tree.path("val2014")]


# Faults of the layout and of whole files


def test_missing_root(tmp_path):
    dataset = CocoDataset(format="coco", root=tmp_path / "no")
    error = faults_of(lambda: index_into(tmp_path / "made", tmp_path / "no", dataset))
    assert len(error.faults) == 1
    assert "does not exist; expected a folder that holds annotations" in str(error)


def test_root_one_folder_too_high(tree):
    tree.write()
    error = faults_of(lambda: index_into(tree.root.parent / "made", tree.root.parent, tree.dataset))
    assert {fault.kind for fault in error.faults} == {FaultKind.LAYOUT}
    assert f"{tree.root / 'annotations'} exists: is 'root' one folder too high?" in str(error)


def test_missing_file_and_missing_folder(tree):
    tree.write().path("val2014").rename(tree.path("val2014").with_name("instances_minival.json"))
    fault = only_fault(tree, FaultKind.LAYOUT)
    assert "the val images (files there: instances_minival.json, instances_train2014.json)" in fault.detail
    shutil.rmtree(tree.root / "val2014")
    error = faults_of(lambda: indexed(tree))
    assert [Path(fault.file).name for fault in error.faults] == ["instances_val2014.json", "val2014"]


def test_one_file_for_both_splits(tree):
    dataset = CocoDataset.model_validate({"format": "coco", "root": tree.root, "splits": {"val": "train2014"}})
    assert "give 'train' and 'val' in 'splits'" in only_fault(tree.write(), FaultKind.LIST, dataset).detail


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends too early: it is truncated"),
        (b"\x1f\x8b\x08", "has no '{' where one is expected"),
        (b"[]", "has no '{' where one is expected"),
        (b"{}", "has no list 'images' and 'annotations' and 'categories'"),
        (b'{"images": [], "annotations": {}, "categories": []}', "has no list 'annotations'"),
        (b'{"images": [{"id": 1,}]}', "is not JSON"),
        (b'{"images": []} {}', "has more after its end"),
        (b'{"images": [' + b"[" * 100000, "nested too deeply"),
        (b'{"info": "\xff"}', "not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "has no '{' where one is expected"),
    ],
)
def test_a_file_that_is_no_description_of_instances(tree, content, reason):
    tree.write().path("train2014").write_bytes(content)
    fault = only_fault(tree, FaultKind.BROKEN_ANNOTATION)
    assert fault.file == str(tree.path("train2014"))
    assert reason in fault.detail and str(tree.path("train2014")) not in fault.detail


def test_truncated_file(tree):
    cut_short(tree.write().path("val2014"))
    assert "ends too early: it is truncated (at byte " in only_fault(tree, FaultKind.BROKEN_ANNOTATION).detail


def test_captions_instead_of_instances(tree):
    tree.files["train2014"].pop("categories")
    tree.files["train2014"]["annotations"] = [{"id": 1, "image_id": 9, "caption": "a dog"}]
    error = faults_of(lambda: indexed(tree.write()))
    assert "has no list 'categories'" in str(error)


def test_no_images(tree):
    tree.files["val2014"] = {"images": [], "annotations": [], "categories": []}
    assert "lists no images" in only_fault(tree.write(), FaultKind.LIST).detail


# Faults of entries


def test_unknown_class_is_never_dropped(tree):
    fewer = tuple(name for name in COCO_CLASSES if name != "person")
    dataset = tree.dataset.model_copy(update={"classes": fewer})
    error = faults_of(lambda: indexed(tree.write(), dataset))
    assert {(fault.kind, fault.image_id) for fault in error.faults} == {
        (FaultKind.UNKNOWN_CLASS, "COCO_train2014_000000000009"),
        (FaultKind.UNKNOWN_CLASS, "COCO_train2014_000000000030"),
    }
    assert "'person' is not in the class list" in str(error)


def test_misspelt_class(tree):
    dataset = tree.dataset.model_copy(update={"classes": tuple("dogs" if n == "dog" else n for n in COCO_CLASSES)})
    assert "did you mean 'dogs'?" in str(faults_of(lambda: indexed(tree.write(), dataset)))


def test_category_that_nothing_has_may_be_unknown(tree):
    tree.files["train2014"]["categories"].append({"id": 91, "name": "hair brush"})
    assert len(indexed(tree.write())) == 5


def test_category_id_that_is_not_listed(tree):
    tree.files["train2014"]["annotations"][3]["category_id"] = 12
    fault = only_fault(tree.write(), FaultKind.BROKEN_ANNOTATION)
    assert fault.image_id == "COCO_train2014_000000000025"
    assert "category 12, which is not in 'categories'" in fault.detail


def test_annotation_of_an_image_that_is_not_listed(tree):
    tree.files["val2014"]["annotations"][0]["image_id"] = 4711
    fault = only_fault(tree.write(), FaultKind.BROKEN_ANNOTATION)
    assert fault.file == str(tree.path("val2014"))
    assert "annotations of image 4711, which is not in 'images'" in fault.detail
    assert fault.image_id == "4711"


@pytest.mark.parametrize("entry", [{"id": 5}, {"id": 5, "image_id": 9}, {"image_id": None, "category_id": 1}])
def test_annotation_without_image_or_category(tree, entry):
    tree.files["train2014"]["annotations"].append(entry)
    fault = only_fault(tree.write(), FaultKind.BROKEN_ANNOTATION)
    assert "expected numbers as 'image_id' and 'category_id'" in fault.detail
    assert fault.image_id == ("COCO_train2014_000000000009" if entry.get("image_id") else None)


@pytest.mark.parametrize("name", ["images", "annotations", "categories"])
def test_entry_that_is_no_object(tree, name):
    tree.files["train2014"][name].append(7)
    assert f"has 7 among '{name}'" in only_fault(tree.write(), FaultKind.BROKEN_ANNOTATION).detail


@pytest.mark.parametrize("entry", [{"id": 5}, {"file_name": "a.jpg"}, {"id": True, "file_name": "b"}, {"id": 5.5}])
def test_image_without_id_or_file(tree, entry):
    tree.files["train2014"]["images"].append(entry)
    assert "expected a number or text as 'id'" in only_fault(tree.write(), FaultKind.BROKEN_ANNOTATION).detail


def test_category_without_name_and_two_names_of_one_id(tree):
    tree.files["train2014"]["categories"] += [{"id": 95}, {"id": 1, "name": "human"}]
    error = faults_of(lambda: indexed(tree.write()))
    assert [fault.kind for fault in error.faults] == [FaultKind.BROKEN_ANNOTATION] * 2
    assert "gives 'person' and 'human' the same category id 1" in str(error)


def test_image_listed_twice(tree):
    images = tree.files["train2014"]["images"]
    images.append(images[0])
    fault = only_fault(tree.write(), FaultKind.REPEATED_ID)
    assert fault.image_id == "COCO_train2014_000000000009" and "image 9" in fault.detail
    assert len(indexed(tree, skipping(tree))) == 5


def test_file_listed_under_two_numbers_keeps_the_labels_of_both(tree):
    tree.files["train2014"]["images"].append({**tree.files["train2014"]["images"][0], "id": 99})
    tree.annotate(99, "train2014", "zebra", square(1, 1, 5))
    assert only_fault(tree.write(), FaultKind.REPEATED_ID).image_id == "COCO_train2014_000000000009"
    assert indexed(tree, skipping(tree)).table["labels"][0] == "person;dog;zebra"


def test_two_files_under_one_number_are_both_left_out(tree):
    tree.files["train2014"]["images"][1]["id"] = 9
    tree.files["train2014"]["annotations"][3]["image_id"] = 9
    error = faults_of(lambda: indexed(tree.write()))
    assert {fault.image_id for fault in error.faults} == {
        "COCO_train2014_000000000009",
        "COCO_train2014_000000000025",
    }
    left = indexed(tree, skipping(tree))
    assert left.split("train").image_ids == ["COCO_train2014_000000000030"]


def test_image_in_both_splits(tree):
    tree.files["val2014"]["images"].append(tree.files["train2014"]["images"][0])
    fault = only_fault(tree.write(), FaultKind.SHARED_ID)
    assert fault.file == str(tree.path("val2014")) and "is also in instances_train2014.json" in fault.detail


@pytest.mark.parametrize("name", ["../9.jpg", "/etc/9.jpg", "a\\9.jpg", "a\n.jpg"])
def test_file_names_that_lead_elsewhere(tree, name):
    tree.files["train2014"]["images"][3]["file_name"] = name
    assert repr(name) in only_fault(tree.write(), FaultKind.IMAGE_ID).detail


def test_missing_broken_and_differently_sized_images(tree, caplog):
    tree.write()
    cut_short(tree.image("COCO_train2014_000000000009"))
    tree.image("COCO_val2014_000000000042").unlink()
    Image.new("RGB", (36, 40)).save(tree.image("COCO_train2014_000000000025"))
    error = faults_of(lambda: indexed(tree))
    assert {(fault.kind, fault.image_id) for fault in error.faults} >= {
        (FaultKind.BROKEN_IMAGE, "COCO_train2014_000000000009"),
        (FaultKind.MISSING_IMAGE, "COCO_val2014_000000000042"),
    }
    assert indexed(tree, skipping(tree)).table["height"].tolist() == [40, 40, 40]
    assert any(str(FaultKind.OTHER_SIZE) in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "written", ["train2014/{}.jpg", "images/{}.jpg", "{}.JPG", "{}.png", "COCO%5Ftrain2014_000000000025.jpg"]
)
def test_of_a_file_name_in_another_form_the_file_that_is_there_is_named(tree, written):
    name = "COCO_train2014_000000000025"
    for entry in tree.files["train2014"]["images"]:
        if entry["file_name"] == f"{name}.jpg":
            entry["file_name"] = written.format(name)
    fault = only_fault(tree.write(), FaultKind.MISSING_IMAGE)
    assert f"('{tree.root}/train2014/{name}.jpg' is there): 'file_name' is the path from" in fault.detail


def test_all_faults_are_reported_in_one_run(tree):
    train = tree.files["train2014"]
    train["images"].append(train["images"][0])
    train["annotations"][0]["category_id"] = 12
    train["annotations"].append({"id": 77})
    tree.files["val2014"]["images"].append(train["images"][1])
    tree.image("COCO_train2014_000000000030").unlink()
    dataset = tree.dataset.model_copy(update={"classes": tuple(n for n in COCO_CLASSES if n != "dog")})
    error = faults_of(lambda: indexed(tree.write(), dataset))
    assert {fault.kind for fault in error.faults} == {
        FaultKind.REPEATED_ID,
        FaultKind.SHARED_ID,
        FaultKind.BROKEN_ANNOTATION,
        FaultKind.UNKNOWN_CLASS,
        FaultKind.MISSING_IMAGE,
    }


# Whatever names, sizes and labels

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=9)
ODD = [" a", "nan", "e\u0301", "\u2028", "x;y,z", '"q"', "0012", "\U0001f408", "a.b.c", "~", "%41"]


@given(
    names=st.lists(NAMES.filter(lambda name: name.strip(". ")), min_size=2, max_size=5, unique_by=str.casefold),
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=5, max_size=5),
    labels=st.lists(st.sets(st.sampled_from(COCO_CLASSES), min_size=1), min_size=5, max_size=5),
    ascii=st.booleans(),
    seed=st.integers(0, 99),
)
@example(names=ODD[:5], sizes=[(3, 4)] * 5, labels=[{"person"}] * 5, ascii=False, seed=0)
@example(names=ODD[5:10], sizes=[(4, 3)] * 5, labels=[{"cat", "dog"}] * 5, ascii=True, seed=1)
def test_names_sizes_and_labels_survive(tmp_path_factory, names, sizes, labels, ascii, seed):
    root = tmp_path_factory.mktemp("any") / "coco"
    tree = CocoTree(root)
    splits = ["val2014"] + ["train2014"] * (len(names) - 1)
    expected = {}
    for number, (name, size, shown, split) in enumerate(zip(names, sizes, labels, splits, strict=False)):
        file = f"{name}.png"
        Image.new("RGB", size[::-1]).save(root / split / file)
        tree.files[split]["images"].append({"id": f"#{number}", "file_name": file, "height": size[0], "width": size[1]})
        for label in shown:
            tree.annotate(f"#{number}", split, label, square(0, 0, 1))
        expected[name] = (*size, ";".join(c for c in COCO_CLASSES if c in shown))
    for split, content in tree.files.items():
        random.Random(seed).shuffle(content["annotations"])
        tree.path(split).write_text(json.dumps(content, ensure_ascii=ascii), encoding="utf-8")
    index_into(root.parent / "made", root, tree.dataset)
    table = read_index(root.parent / "made/index.csv", root.parent / "made/classes.json").table
    rows = zip(table["image_id"], table["height"], table["width"], table["labels"], strict=True)
    assert {image_id: (h, w, text) for image_id, h, w, text in rows} == expected


@pytest.mark.parametrize(
    ("file_name", "image_id"),
    [("a.jpg", "a"), ("a.b.jpg", "a.b"), ("a/b.png", "a/b"), ("./a//b.png", "a/b"), ("noending", "noending")]
    + [(name, None) for name in (".", "..", "a/../b.jpg", "/a.jpg", "a\\b.jpg", "a\tb.jpg")],
)
def test_image_id_of(file_name, image_id):
    assert image_id_of(file_name) == image_id


def test_there_are_80_ids():
    assert len(COCO_IDS) == len(COCO_CLASSES) == 80
