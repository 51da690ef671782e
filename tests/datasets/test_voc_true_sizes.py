"""A made VOC 2012 with lists of the true lengths, and SBD: right counts, or an explanation.

Images, annotations and masks are one small file each, linked under all names.
"""

import logging
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.sbd_tree import write_mat
from tests.datasets.voc_tree import VocTree, index_into
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.dataset import Splits, VocDataset
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import DatasetIndex, read_index
from wsss_core.datasets.index_dataset import index_test_images
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest

pytestmark = pytest.mark.xdist_group("voc_true_sizes")

TRAIN = [f"2007_{number:06}" for number in range(1464)]
VAL = [f"2008_{number:06}" for number in range(1449)]
TEST = [f"2009_{number:06}" for number in range(1456)]
ONLY_SBD = [f"2010_{number:06}" for number in range(9118)]
OF_SBD = sorted([*ONLY_SBD, *TRAIN[:1134], *VAL[:1103]])
SBD_TRAIN, SBD_VAL = OF_SBD[:8498], OF_SBD[8498:]


def link(file: Path, folder: Path, image_ids: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image_id in image_ids:
        os.link(file, folder / f"{image_id}{file.suffix}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """``voc`` beside ``sbd`` (its own form) and ``png`` (SegmentationClassAug)."""
    folder = tmp_path_factory.mktemp("true_sizes")
    tree = VocTree(folder / "voc", VOC_CLASSES)
    tree.add("one", ["person", "cow"], "train", size=(4, 5), mask=True)
    tree.lists = {"train": TRAIN, "val": VAL, "test": TEST}
    tree.write_lists()
    described = [*TRAIN, *VAL, *ONLY_SBD]
    link(tree.image("one"), folder / "voc/JPEGImages", [*described, *TEST])
    link(tree.annotation("one"), folder / "voc/Annotations", described)
    link(tree.mask("one"), folder / "voc/SegmentationClass", [*TRAIN, *VAL])
    mask = np.full((4, 5), 15, dtype=np.uint8)
    write_mat(folder / "one.mat", mask)
    link(folder / "one.mat", folder / "sbd/dataset/cls", OF_SBD)
    for name, image_ids in (("train", SBD_TRAIN), ("val", SBD_VAL)):
        (folder / f"sbd/dataset/{name}.txt").write_text("\n".join(image_ids) + "\n")
    Image.fromarray(mask).save(folder / "one.png")
    link(folder / "one.png", folder / "png", [*TRAIN, *VAL, *ONLY_SBD])
    return folder


def settings(folder: Path, **given) -> VocDataset:
    return VocDataset(name="voc12", root=folder / "voc", **given)


def index_of(folder: Path, made: Path, dataset: VocDataset) -> DatasetIndex:
    index_into(made, folder / "voc", dataset)
    return read_index(made / "index.csv", made / "classes.json")


def test_vocs_own_lists(folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        index = index_of(folder, tmp_path, settings(folder))
    assert (len(index.split("train")), len(index.split("val"))) == (1464, 1449)
    assert (
        index.label_matrix.sum(axis=0)[[VOC_CLASSES.index("cow"), VOC_CLASSES.index("person")]].tolist() == [2913] * 2
    )
    assert str(FaultKind.LIST_LENGTH) not in caplog.text


def test_images_of_the_server(folder, tmp_path):
    dataset = settings(folder, sbd=folder / "sbd", splits=Splits(train="train_aug", test="test"))
    raw = raw_dataset(folder / "voc", dataset)
    index_test_images(raw, tmp_path / "index.csv", tmp_path / "classes.json")
    index = read_index(tmp_path / "index.csv", tmp_path / "classes.json")
    assert len(index) == 1456 and not index.label_matrix.any()


@pytest.mark.parametrize("sbd", ["sbd", "png"])
def test_train_aug(folder, tmp_path, sbd, caplog):
    dataset = settings(folder, sbd=folder / sbd, splits=Splits(train="train_aug"))
    begin = time.process_time()
    with caplog.at_level(logging.WARNING):
        index = index_of(folder, tmp_path, dataset)
    seconds = time.process_time() - begin
    assert (len(index.split("train")), len(index.split("val"))) == (10582, 1449)
    assert len(set(index.image_ids)) == 12031
    assert str(FaultKind.LIST_LENGTH) not in caplog.text
    masks = dict(raw_dataset(folder / "voc", dataset).masks(index))
    assert len(masks) == 12031
    assert sum(isinstance(source, Path) for source in masks.values()) == (12031 if sbd == "png" else 2913)
    assert seconds < 60, "about 4 s on an idle core"


def test_a_source_that_is_short_is_reported(folder, tmp_path, caplog):
    short = folder / "short/dataset"
    short.mkdir(parents=True)
    os.symlink(folder / "sbd/dataset/cls", short / "cls")
    os.symlink(folder / "sbd/dataset/train.txt", short / "train.txt")
    (short / "val.txt").write_text("\n".join(SBD_VAL[:-7]) + "\n")
    dataset = settings(folder, sbd=short, splits=Splits(train="train_aug"))
    with caplog.at_level(logging.WARNING):
        index = index_of(folder, tmp_path, dataset)
    assert len(index.split("train")) == 10575
    (line,) = [message for message in caplog.messages if str(FaultKind.LIST_LENGTH) in message]
    assert "it has 10,575 images; complete VOC 2012 and SBD give 10,582" in line
    assert f"{short / 'val.txt'} has 2,850 instead of 2,857 (7 are missing)" in line
    assert f"{folder / 'voc/ImageSets/Segmentation/train.txt'} has its 1,464" in line
    assert f"{short / 'train.txt'} has its 8,498" in line


@pytest.mark.slow
def test_all_masks_of_train_aug_are_drawn(folder, tmp_path):
    dataset = settings(folder, sbd=folder / "sbd", splits=Splits(train="train_aug"))
    index = index_of(folder, tmp_path, dataset)
    index_masks(raw_dataset(folder / "voc", dataset), index, tmp_path / "masks.csv", tmp_path / "skipped_masks.csv")
    masks = read_label_manifest([tmp_path / "masks.csv"])
    assert len(masks) == 12031 and len(list((tmp_path / "drawn").iterdir())) == 9118
