"""Tests of ``wsss_core.datasets.coco.coco_masks``: what is drawn equals what was encoded, and damage is reported."""

import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tests.datasets.coco_tree import CocoTree, encoded, indexed, masked, small_coco, square
from tests.datasets.voc_tree import faults_of
from wsss_core.config.class_names import COCO_CLASSES
from wsss_core.datasets.coco.coco_masks import draw_stuff, run_lengths
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
PERSON, CAT, DOG, TOOTHBRUSH = (COCO_CLASSES.index(name) + 1 for name in ("person", "cat", "dog", "toothbrush"))


@pytest.fixture
def tree(tmp_path) -> CocoTree:
    return small_coco(tmp_path / "coco")


def one_image(tree: CocoTree) -> np.ndarray:
    """The mask of an image with the number 99 that was added to the training images."""
    return masked(tree.write())["COCO_train2014_000000000099"]


def test_masks_have_class_numbers_and_not_category_ids(tree):
    masks = masked(tree.write())
    assert set(masks) == set(indexed(tree).image_ids)
    first = masks["COCO_train2014_000000000009"]
    assert first.shape == (40, 50)
    assert set(np.unique(first)) == {0, PERSON, DOG} and PERSON == 1
    assert (first[3:13, 2:12] == PERSON).all() and (first[5:17, 20:32] == DOG).all()
    assert (first == DOG).sum() == 144
    assert TOOTHBRUSH == 80 and set(np.unique(masks["COCO_train2014_000000000025"])) == {0, 80}


def test_an_image_without_objects_is_background(tree):
    assert not masked(tree.write())["COCO_val2014_000000000073"].any()


def test_the_smaller_of_overlapping_objects_is_on_top_whatever_their_order(tmp_path):
    for order in (1, -1):
        tree = small_coco(tmp_path / str(order) / "coco")
        objects = [("person", square(0, 0, 30)), ("cat", square(5, 5, 20)), ("dog", square(8, 8, 4))]
        tree.add(99, "train2014", objects[::order])
        mask = one_image(tree)
        assert mask[1, 1] == PERSON and mask[6, 6] == CAT and mask[9, 9] == DOG


def test_the_area_that_the_file_gives_decides_and_the_first_of_equals(tree):
    tree.add(99, "train2014")
    tree.annotate(99, "train2014", "person", square(0, 0, 20), area=3.5)
    tree.annotate(99, "train2014", "cat", square(0, 0, 10), area=100)
    tree.annotate(99, "train2014", "dog", square(0, 0, 20), area=3.5)
    assert set(np.unique(one_image(tree))) == {0, PERSON}


@pytest.mark.parametrize("compressed", [True, False])
def test_crowds_are_ignored_and_objects_are_above_them(tree, compressed):
    region = np.zeros((40, 50), dtype=bool)
    region[:20, :30] = True
    tree.add(99, "train2014", [("person", square(25, 10, 15))])
    tree.annotate(99, "train2014", "person", encoded(region, compressed), iscrowd=1, area=1)
    mask = one_image(tree)
    assert (mask[:10, :30] == 255).all() and (mask[10:25, 25:40] == PERSON).all()
    assert (mask == 255).sum() == 600 - 50


def test_crowds_can_be_objects(tree):
    region = np.zeros((40, 50), dtype=bool)
    region[:20, :30] = True
    tree.add(99, "train2014", [("person", square(25, 10, 15))])
    tree.annotate(99, "train2014", "cat", encoded(region), iscrowd=1)
    dataset = tree.dataset.model_copy(update={"crowds": "objects"})
    mask = masked(tree.write(), dataset)["COCO_train2014_000000000099"]
    assert (mask == CAT).sum() == 600 - 50 and (mask == PERSON).sum() == 225 and not (mask == 255).any()


@pytest.mark.parametrize("long_side", [None, 64])
def test_a_class_that_is_all_crowd_is_reported(tmp_path, long_side, caplog):
    """As CVAT exports what is drawn with a brush; also where masks are shrunk, and go on after a killed run."""
    tree = CocoTree(tmp_path / "coco", ("cat", "dog"), (1, 2))
    region = np.zeros((40, 80), dtype=bool)
    region[10:30, 20:40] = True
    for number in range(16):
        split = "val2014" if number > 11 else "train2014"
        tree.add(number, split, size=(40, 80))
        if number % 2:
            tree.annotate(number, split, "dog", square(3, 3, 20))
        else:
            tree.annotate(number, split, "cat", encoded(region), iscrowd=1)
    dataset = tree.dataset.model_copy(update={"long_side": long_side})
    masked(tree.write(), dataset)
    pixels = 6 * (400 if long_side is None else 256)
    (train, val) = [message for message in caplog.messages if "most pixels are ignored" in message]
    assert f"train masks most pixels are ignored of 'cat' ({pixels:,} ignored, 0 left)" in train and " val " in val
    assert "'dataset.crowds: objects' counts them" in train
    caplog.clear()
    masked(tree, dataset.model_copy(update={"crowds": "objects"}))
    assert "ignored" not in caplog.text and "differ" not in caplog.text


def test_drawn_as_pycocotools_draws(tree):
    points = np.random.default_rng(0).uniform(-2, 52, (3, 14)).round(2).tolist()
    tree.add(99, "train2014", [("dog", points)])
    mask = one_image(tree)
    coco = COCO(str(tree.path("train2014")))
    annotation = next(a for a in coco.anns.values() if a["image_id"] == 99)
    assert np.array_equal(mask == DOG, coco.annToMask(annotation).astype(bool))
    assert (mask == DOG).any()


def test_points_outside_of_the_image_are_clipped_and_two_points_are_nothing(tree):
    tree.add(99, "train2014", [("cat", square(-5, -5, 60)), ("dog", [[3.0, 3.0, 20.0, 20.0]])])
    assert (one_image(tree) == CAT).all()


def test_files_with_boxes_alone_have_no_masks(tree, caplog):
    for content in tree.files.values():
        for annotation in content["annotations"]:
            annotation["segmentation"] = []
    assert masked(tree.write()) == {}
    assert "has no masks" in caplog.text


FEW = {"size": [40, 50], "counts": [2000]}


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "has no 'segmentation'"),
        ([], "has no 'segmentation'"),
        ("polygon", "has no 'segmentation'"),
        ([1, 2, 3], "is not a list of numbers"),
        ([[1, 2, 3, 4, 5, "6"]], "is not a list of numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers; expected pairs"),
        ([[]], "0 numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "far outside"),
        ([[1, 2, 3, 4, 1e9, 6]], "x = 1000000000.0, far outside the image (50 pixels)"),
        ({**FEW, "size": [50, 40]}, "of the size [50, 40]; expected [40, 50]"),
        ({**FEW, "counts": [1000, 999]}, "cover 1999 pixels; expected 2000"),
        ({**FEW, "counts": [2001, -1]}, "whole numbers"),
        ({**FEW, "counts": [1000.5, 999.5]}, "whole numbers"),
        ({**FEW, "counts": None}, "whole numbers"),
        ({**FEW, "counts": "zz"}, "have the sign 'z'"),
        ({**FEW, "counts": "o"}, "end too early"),
        ({**FEW, "counts": "11"}, "cover 2 pixels"),
        ({}, "of the size None"),
    ],
)
def test_damaged_segmentations_are_reported_with_file_annotation_and_image(tree, segmentation, reason):
    tree.add(99, "train2014")
    annotation = tree.annotate(99, "train2014", "dog", segmentation)
    error = faults_of(lambda: masked(tree.write()))
    assert [fault.kind for fault in error.faults] == [FaultKind.BROKEN_MASK]
    fault = error.faults[0]
    assert fault.image_id == "COCO_train2014_000000000099"
    assert f"{fault.file}: {fault.detail}".startswith(f"{tree.path('train2014')}: annotation {annotation['id']}: ")
    assert reason in fault.detail
    left = masked(tree, tree.dataset.model_copy(update={"on_fault": "skip"}))
    assert "COCO_train2014_000000000099" not in left and "COCO_train2014_000000000009" in left


def test_every_damaged_segmentation_is_reported(tree):
    for content in tree.files.values():
        content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    error = faults_of(lambda: masked(tree.write()))
    ids = {fault.image_id for fault in error.faults}
    assert ids == {"COCO_train2014_000000000009", "COCO_val2014_000000000042"}


def test_mask_of_another_size_than_the_image(tree):
    tree.write()
    image_id = "COCO_train2014_000000000025"
    Image.new("RGB", (36, 40)).save(tree.image(image_id))
    error = faults_of(lambda: masked(tree))
    assert [(fault.kind, fault.image_id) for fault in error.faults] == [(FaultKind.MASK_SIZE, image_id)]


def test_without_a_size_in_the_file_the_image_has_the_word(tree):
    for image in tree.files["train2014"]["images"]:
        image.pop("height")
    assert masked(tree.write())["COCO_train2014_000000000025"].shape == (34, 36)


def test_what_draws_a_mask_is_small_and_can_be_sent_to_another_process(tree):
    many = [("dog", [np.linspace(0, 30, 2000).tolist()]) for _ in range(20)]
    tree.add(99, "train2014", many)
    index = indexed(tree.write())
    sources = dict(raw_dataset(tree.root, tree.dataset).masks(index))
    for source in sources.values():
        sent = pickle.dumps(source)
        assert len(sent) < 3000
        assert np.array_equal(pickle.loads(sent)(), source())


@given(
    region=st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda size: arrays(bool, size)),
    compressed=st.booleans(),
)
@example(region=np.zeros((1, 1), bool), compressed=True)
@example(region=np.ones((3, 700), bool), compressed=True)
@example(region=np.ones((1, 5), bool), compressed=False)
def test_what_was_encoded_is_drawn(region, compressed):
    drawn = coco_mask.decode(run_lengths(encoded(region, compressed), *region.shape))
    assert np.array_equal(drawn, region)


@given(text=st.text(max_size=20), damaged=st.integers(0, 30))
def test_damaged_text_of_run_lengths_never_gets_through(text, damaged):
    region = np.random.default_rng(1).random((17, 23)) < 0.5
    whole = encoded(region)["counts"]
    for counts in (text, whole[:damaged] + text + whole[damaged + 1 :]):
        try:
            drawn = coco_mask.decode(run_lengths({"size": [17, 23], "counts": counts}, 17, 23))
        except ValueError:
            continue
        assert drawn.shape == region.shape and drawn.max() <= 1


@given(
    regions=st.lists(st.tuples(st.integers(1, 80), arrays(bool, (9, 11))), max_size=4),
    crowd=arrays(bool, (9, 11)),
)
def test_masks_of_any_regions(tmp_path_factory, regions, crowd):
    tree = small_coco(tmp_path_factory.mktemp("regions") / "coco")
    tree.add(99, "train2014", size=(9, 11))
    tree.annotate(99, "train2014", "person", encoded(crowd), iscrowd=1)
    expected = np.where(crowd, 255, 0)
    for number, region in regions:
        tree.annotate(99, "train2014", COCO_CLASSES[number - 1], encoded(region, number % 2 == 0))
    for number, region in sorted(reversed(regions), key=lambda item: -item[1].sum()):  # of equal ones the first wins
        expected[region] = number
    assert np.array_equal(one_image(tree), expected)


# COCO-Stuff


def stuff_map(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


def stuff_of(tree: CocoTree, image_id: str, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    values = np.full(size, 91 + len(image_id) % 91)
    values[:10], values[10:12], values[12:14], values[14:16] = 0, 89, 255, 181
    return values


@pytest.mark.parametrize("layout", ["{id}", "{split}/{id}", "train2017/{number}", "val2017/{number}"])
def test_pixel_maps_of_coco_stuff(tree, layout):
    folder = tree.root.parent / "stuff"
    for image_id in indexed(tree.write()).image_ids:
        _, split, number = image_id.split("_")
        size = (34, 36) if number.endswith("25") else (40, 50)
        name = layout.format(id=image_id, split=split, number=number)
        stuff_map(folder / f"{name}.png", stuff_of(tree, image_id, size))
    masks = masked(tree, tree.dataset.model_copy(update={"stuff_masks": folder}))
    assert len(masks) == 5
    for mask in masks.values():
        assert (mask[:10] == PERSON).all()  # the value 0 is a person
        assert (mask[10:12] == TOOTHBRUSH).all()  # 89 is category 90, class 80
        assert (mask[12:14] == 255).all()
        assert (mask[14:] == 0).all()


def test_every_category_of_a_pixel_map(tmp_path):
    class_numbers = {i: k + 1 for k, i in enumerate(i for i in range(1, 92) if i not in (12, 91))}
    values = [i - 1 for i in class_numbers]
    stuff_map(tmp_path / "a.png", [values])
    assert draw_stuff(tmp_path / "a.png", class_numbers).tolist() == [list(class_numbers.values())]


@pytest.mark.parametrize("value", [11, 90, 182, 254])
def test_values_that_coco_stuff_does_not_have(tree, value):
    folder = tree.root.parent / "stuff"
    for image_id in indexed(tree.write()).image_ids:
        size = (34, 36) if image_id.endswith("25") else (40, 50)
        stuff_map(folder / f"{image_id}.png", np.full(size, value if image_id.endswith("09") else 100))
    dataset = tree.dataset.model_copy(update={"stuff_masks": folder})
    error = faults_of(lambda: masked(tree, dataset))
    assert [fault.image_id for fault in error.faults] == ["COCO_train2014_000000000009"]
    assert f"has the values {value}; COCO-Stuff has" in error.faults[0].detail


def test_missing_and_broken_pixel_maps(tree):
    folder = tree.root.parent / "stuff"
    tree.add(74, "val2014")
    for image_id in indexed(tree.write()).image_ids[3:]:
        stuff_map(folder / f"{image_id}.png", np.full((40, 50), 100))
    (folder / "COCO_val2014_000000000042.png").unlink()
    (folder / "COCO_val2014_000000000073.png").write_bytes(b"nonsense")
    error = faults_of(lambda: masked(tree, tree.dataset.model_copy(update={"stuff_masks": folder})))
    assert {(fault.kind, fault.image_id) for fault in error.faults} == {
        (FaultKind.MISSING_MASK, "COCO_val2014_000000000042"),
        (FaultKind.BROKEN_MASK, "COCO_val2014_000000000073"),
    }


def test_a_pixel_map_that_is_no_png_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.png"):
        draw_stuff(tmp_path / "a.png", {})
