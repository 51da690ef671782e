"""Tests of what is said where masks and image-level labels do not agree."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.folder_tree import FolderTree
from wsss_core.datasets.faults import DatasetFaults, FaultKind
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.mask_agreement import MaskAgreement, MaskContent

CLASSES = ("cat", "cow", "dog")


def judged(labels, masks, ignored=0, splits=None, classes=CLASSES, lost=None):
    """Faults and warnings for labels and mask classes, lists of names or '' for each image."""
    n = len(labels)
    columns = {
        "image_id": [f"{number:02}" for number in range(n)],
        "split": splits or ["train"] * n,
        "labels": [";".join(filter(None, row if isinstance(row, list) else [row])) for row in labels],
    }
    agreement = MaskAgreement(DatasetIndex(classes, columns))
    for image_id, row in zip(columns["image_id"], masks, strict=True):
        names = row if isinstance(row, list) else [row]
        content = MaskContent(np.array([10 * (name in names) for name in classes]), ignored, lost)
        agreement.add(image_id, content)
    return agreement.judge(Path("mine"))


def varied(number=24, seed=0, classes=CLASSES) -> list[str]:
    return [classes[k] for k in np.random.default_rng(seed).integers(0, len(classes), number)]


def test_nothing_is_said_where_both_agree():
    labels = [*varied(), ["cat", "dog"], ""]
    assert judged(labels, labels) == ([], [])


@pytest.mark.parametrize("order", [(1, 2, 0), (0, 2, 1), (2, 1, 0)])
def test_another_order_of_the_classes_is_refused_and_named(order):
    labels = [*varied(), ["cat", "dog"], ["cow"], ""]
    saved = {CLASSES[k]: CLASSES[order[k]] for k in range(3)}
    masks = [[saved[name] for name in ([row] if isinstance(row, str) else row) if name] for row in labels]
    (fault,), warnings = judged(labels, masks)
    assert (fault.kind, warnings) == (FaultKind.MASK_LABELS, [])
    names = ", ".join(CLASSES[order.index(v)] for v in range(3))
    assert "number the classes in another order" in fault.detail and f"[{names}]" in fault.detail


def test_one_value_for_all_objects_is_refused():
    labels = varied()
    (fault,), _ = judged(labels, ["cat"] * 24)
    assert "all objects are saved as 1 ('cat')" in fault.detail


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("classes", [CLASSES, ("defect",)])
def test_a_shift_by_one_image_is_refused(step, classes):
    labels = varied(30, 3, (*classes, "") if len(classes) == 1 else classes)
    (fault,), _ = judged(labels, labels[-step:] + labels[:-step], classes=classes)
    where = "before" if step == 1 else "after"
    assert f"shifted by one image: each fits the label of the image {where} its own" in fault.detail


def test_a_shift_across_splits_is_seen_in_the_order_of_ids():
    labels = varied(40, 3)
    splits = ["val" if number % 4 == 2 else "train" for number in range(40)]
    faults, _ = judged(labels, labels[-1:] + labels[:-1], splits=splits)
    assert len(faults) == 2 and all("shifted by one image" in fault.detail for fault in faults)


@pytest.mark.parametrize(("ignored", "words"), [(0, "are empty, all 0"), (7, "the value of ignored pixels")])
def test_masks_without_a_class_are_refused(ignored, words):
    labels = varied()
    faults, _ = judged(labels, [""] * 24, ignored)
    assert words in faults[0].detail


def test_masks_of_images_that_nobody_labelled_are_used():
    splits = ["train"] * 12 + ["val"] * 12
    labels = varied()
    faults, warnings = judged([*labels[:12], *[""] * 12], labels, splits=splits)
    assert faults == [] and [warning.kind for warning in warnings] == [FaultKind.MASK_LABELS]


def test_incomplete_labels_are_warned_of_with_counts_both_ways():
    labels = varied()
    masks: list = [[name, "cow"] for name in labels]
    masks[0] = ["cow"]
    faults, (warning,) = judged(labels, masks)
    assert faults == []
    extra = sum(name != "cow" for name in labels)
    assert f"'cow' is in {extra} masks and not in the label, in 0 labels and not in the mask" in warning.detail
    assert (
        f"{extra} of 24 train masks differ from their image's label ('00': label '{labels[0]}', mask" in warning.detail
    )


def test_a_single_wrong_mask_of_few_is_a_warning():
    labels = ["cat", "dog", "cat", "dog", "cow", "cow"]
    faults, (warning,) = judged(labels, ["dog", *labels[1:]])
    assert faults == [] and "Likely cause" not in warning.detail


def test_two_classes_swapped_among_many_are_warned_of_with_the_cause():
    classes = tuple("abcdefghijklmnopqrst")
    labels = [*classes] * 4
    swapped = {"a": "b", "b": "a"}
    faults, (warning,) = judged(labels, [swapped.get(name, name) for name in labels], classes=classes)
    assert faults == [] and "1 goes with 'b' (here 2), 2 goes with 'a' (here 1)" in warning.detail


def test_classes_whose_pixels_are_ignored_are_named():
    labels = ["cat", "dog"] * 6
    _, warnings = judged(labels, ["", "dog"] * 6, 50, lost=np.array([50, 0, 0]))
    assert [warning.kind for warning in warnings] == [FaultKind.MASK_LABELS, FaultKind.IGNORED_CLASS]
    assert "in train masks most pixels are ignored of 'cat' (600 ignored, 0 left)" in warnings[1].detail
    _, warnings = judged(labels, ["", "dog"] * 6, 50)  # nobody knows of what the ignored pixels are
    assert "'cat' (300 ignored, 0 left)" in warnings[1].detail


FIVE = ("ant", "bee", "cat", "dog", "eel")


def pairs(number=40, seed=1, classes=FIVE) -> list[list[str]]:
    """Labels of one or two classes."""
    drawn = np.random.default_rng(seed).integers(0, len(classes), (number, 2))
    return [[classes[k] for k in sorted({*row[: 1 + number % 2]})] for number, row in enumerate(drawn)]


def test_masks_of_other_images_are_refused_without_a_known_cause():
    labels = pairs()
    shuffled = [labels[(17 * number + 3) % 40] for number in range(40)]
    (fault,), _ = judged(labels, shuffled, classes=FIVE)
    assert "Likely cause" not in fault.detail


@pytest.mark.parametrize("more", [["eel"], ["dog", "eel"], [*FIVE]])
def test_masks_that_show_more_than_the_labels_name_are_never_refused(more):
    labels = pairs()
    faults, warnings = judged(labels, [[*row, *more] for row in labels], classes=FIVE)
    assert faults == [] and len(warnings) == 1


def test_numbers_of_objects_are_refused_and_named():
    labels = pairs()
    masks = [[*FIVE[: 1 + number % 3]] for number in range(40)]
    (fault,), _ = judged(labels, masks, classes=FIVE)
    assert "number the objects (instances)" in fault.detail


@pytest.mark.parametrize("step", [2, -2, 3])
def test_a_shift_by_several_images_is_named(step):
    labels = pairs()
    (fault,), _ = judged(labels, labels[-step:] + labels[:-step], classes=FIVE)
    where = "before" if step > 0 else "after"
    reported = f"shifted by {abs(step)} images: each fits the label of the image {abs(step)} places {where} its own"
    assert reported in fault.detail


def test_one_value_for_all_objects_is_refused_where_every_label_names_it_too():
    labels = [["cat", name] for name in varied()]
    (fault,), _ = judged(labels, ["cat"] * 24)
    assert "all objects are saved as 1 ('cat')" in fault.detail


def test_classes_that_are_ignored_are_not_taken_for_one_value():
    labels = [["cat", name] for name in varied()]
    faults, warnings = judged(labels, ["cat"] * 24, ignored=7)
    assert faults == [] and not any("saved as" in warning.detail for warning in warnings)


def test_few_masks_that_differ_prove_nothing():
    labels, masks = [["cat", "cow"]] * 4, [["cat", "dog"]] * 4
    assert judged(labels, masks)[0] == []
    assert len(judged(labels * 2, masks * 2)[0]) == 1


def test_masks_of_one_class_alone_are_no_mistake_of_numbering():
    labels = varied(30)
    faults, (warning,) = judged(labels, ["cat" if name == "cat" else "" for name in labels])
    assert faults == [] and "Likely cause" not in warning.detail


@pytest.mark.parametrize(
    ("by", "background", "reported"),
    [(-1, [], "number the classes from 0"), (1, [], "from 2 so"), (1, ["ant"], "from 2, with 1 for the background,")],
)
def test_masks_numbered_from_0_or_2_are_reported_so_and_no_order_is_proposed(by, background, reported):
    labels = [[name for name in row if by < 0 or name != "eel"] for row in pairs()]
    masks = [[*background, *(FIVE[k] for name in row if (k := FIVE.index(name) + by) >= 0)] for row in labels]
    splits = ["train"] * 35 + ["val"] * 5
    faults, _ = judged(labels, masks, classes=FIVE, splits=splits)
    assert faults
    for fault in faults:
        assert (
            reported in fault.detail and "another order" not in fault.detail and "dataset.classes" not in fault.detail
        )


def test_an_order_is_proposed_only_with_evidence_for_every_class():
    labels = [[name for name in row if name != "eel"] for row in pairs()]
    saved = {"ant": "cat", "cat": "ant"}
    (fault,), _ = judged(labels, [[saved.get(name, name) for name in row] for row in labels], classes=FIVE)
    assert "1 goes with 'cat' (here 3)" in fault.detail and "dataset.classes" not in fault.detail


def test_splits_are_given_the_same_order():
    labels, saved = pairs(), dict(zip(FIVE, ("cat", "ant", "eel", "bee", "dog"), strict=True))
    splits = ["train"] * 34 + ["val"] * 6
    masks = [[saved[name] for name in row] for row in labels]
    faults, _ = judged(labels, masks, classes=FIVE, splits=splits)
    assert len(faults) == 2 and len({fault.detail.partition("which would be")[2] for fault in faults}) == 1


@pytest.fixture
def numbered_by_a_tool(tmp_path):
    """Of a class list, a folder whose masks have dogs as 1 and cats as 2."""

    def make(**settings) -> FolderTree:
        tree = FolderTree(tmp_path / "mine", **settings)
        names = {f"{number:02}.png": ("cat", "dog")[number % 2] for number in range(24)}
        tree.images(names).labels({name: [label] for name, label in names.items()})
        for name, label in names.items():
            tree.mask(name, np.full((6, 8), 1 if label == "dog" else 2, np.uint8))
        return tree

    return make


def test_masks_in_an_annotation_tools_order_are_refused(numbered_by_a_tool, tmp_path):
    with pytest.raises(DatasetFaults, match=r"which would be \[dog, cat\]"):
        numbered_by_a_tool().masks_table(tmp_path / "made")
    assert not (tmp_path / "made/masks.csv").exists()


def test_the_order_that_is_named_helps_and_the_counts_are_written(numbered_by_a_tool, tmp_path):
    assert len(numbered_by_a_tool(classes=("dog", "cat")).masks_table(tmp_path / "made")) == 24
    with open(tmp_path / "made/labels_and_masks.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["class"]) for row in rows] == [(s, c) for s in ("train", "val") for c in ("dog", "cat")]
    assert sum(int(row["images_with_label"]) for row in rows) == 24
    assert all(row["images_with_label"] == row["images_with_pixels"] for row in rows)
    assert all(row["pixels_without_label"] == row["label_without_pixels"] == "0" for row in rows)
    assert sum(int(row["pixels"]) for row in rows) == 24 * 48
