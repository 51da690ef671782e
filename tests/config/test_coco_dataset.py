"""Settings of a data set in MS-COCO's form."""

import pytest

from tests.config.test_loading import faults_of, small
from wsss_core.config import load_config
from wsss_core.config.class_names import COCO_CLASSES
from wsss_core.config.dataset import CocoDataset
from wsss_core.plan.plan import Plan

COCO = {"format": "coco", "root": "data/coco", "name": "coco14"}


def test_three_lines_are_enough():
    dataset = load_config(small(dataset=COCO)).dataset
    assert isinstance(dataset, CocoDataset)
    assert dataset.class_names == COCO_CLASSES and len(COCO_CLASSES) == 80
    assert (dataset.splits.train, dataset.splits.val) == ("train2014", "val2014")
    assert dataset.stuff_masks is None and dataset.test_list is None


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"stuf_masks": "x"}, "dataset.stuf_masks: "),
        ({"classes": ["person", "person"]}, "names a class twice"),
        ({"classes": []}, "dataset.classes: "),
        ({"splits": {"test": "test2014"}}, "dataset.splits.test: "),
        ({"format": "cocoo"}, "dataset.format: "),
        ({"root": None}, "dataset.root: "),
        ({"crowds": "dropped"}, "dataset.crowds: "),
        ({"crowds": "objects", "stuff_masks": "x"}, "leave 'crowds' out"),
        ({"negatives": "all"}, "dataset.negatives: "),
    ],
)
def test_what_is_wrong_is_reported_by_its_key(wrong, fault):
    faults = faults_of(dataset={**COCO, **wrong})
    assert len(faults) == 1 and fault in faults[0]


def test_crowds_change_the_masks_alone():
    plain = Plan(load_config(small(dataset={**COCO, "crowds": "ignored"})))
    objects = Plan(load_config(small(dataset={**COCO, "crowds": "objects"})))
    assert plain.dataset.digest == objects.dataset.digest
    assert plain.masks.parameters == {} and objects.masks.parameters == {"crowds": "objects"}


def test_where_masks_come_from_changes_the_masks_alone():
    plain = Plan(load_config(small(dataset=COCO)))
    stuff = Plan(load_config(small(dataset={**COCO, "stuff_masks": "data/stuff"})))
    assert plain.dataset.digest == stuff.dataset.digest
    assert plain.experiments["cam"]["cams"].digest == stuff.experiments["cam"]["cams"].digest
    assert plain.masks.digest != stuff.masks.digest
    assert stuff.masks.parameters == {"stuff_masks": "data/stuff"} and plain.masks.parameters == {}
