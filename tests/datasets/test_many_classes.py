"""Label maps of over 254 classes are of 16 bits; with one class and with two everything is as with twenty."""

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from wsss_core.config.background import BackgroundScore
from wsss_core.config.class_names import MOST_CLASSES
from wsss_core.config.training import Augmentation
from wsss_core.datasets.class_names import MOST_HINTS
from wsss_core.datasets.faults import DatasetFaults
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_values import ignored_in, ignored_value, label_type, numbered_within, of_classes
from wsss_core.datasets.palette import write_label_map
from wsss_core.evaluation.score import score_cams, score_label_maps
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.refinement.pseudo_label_map import pseudo_label_map
from wsss_core.segmentation.losses import balanced_cross_entropy, cross_entropy
from wsss_core.segmentation.mixed_labels import LabelMapSamples

from .folder_tree import FolderTree

NAMES = tuple(f"c{number:03d}" for number in range(300))
CLASSES = [1, 2, 254, 255, 256, 300, 1000]


@pytest.mark.parametrize("classes", CLASSES)
def test_types_and_ignored_values(classes):
    assert classes < ignored_value(classes) <= np.iinfo(label_type(classes)).max
    assert (label_type(classes) is np.uint8) == (classes <= 254)


@pytest.mark.parametrize("classes", CLASSES)
def test_label_maps_come_back_from_files(tmp_path, classes):
    labels = np.array([[0, 1, classes, ignored_value(classes)]], label_type(classes))
    write_label_map(tmp_path / "a.png", labels)
    read = read_mask(tmp_path / "a.png")
    assert read.dtype == labels.dtype and np.array_equal(read, labels)
    assert Image.open(tmp_path / "a.png").mode == ("P" if classes <= 254 else "I;16")


def test_maps_of_8_bits_among_many_classes():
    labels = np.array([[0, 254, 255]], np.uint8)
    assert of_classes(labels, 300).tolist() == [[0, 254, 65535]]
    assert of_classes(of_classes(labels, 300), 254).tolist() == labels.tolist()
    with pytest.raises(ValueError, match="has the value 300"):
        of_classes(np.array([[300]], np.uint16), 20)


def test_an_image_s_own_classes_are_numbered_within():
    labels = np.array([[0, 300, 7], [65535, 300, 0]], np.uint16)
    assert numbered_within(labels).tolist() == [[0, 2, 1], [255, 2, 0]] and numbered_within(labels).dtype == np.uint8
    with pytest.raises(ValueError, match="255 classes"):
        numbered_within(np.arange(256, dtype=np.uint16)[None])


@pytest.mark.parametrize("classes", CLASSES)
def test_scores_of_label_maps(tmp_path, classes):
    kind, ignored = label_type(classes), ignored_value(classes)
    truth = np.array([[0, 0, classes, classes, ignored, 1]], kind)
    found = np.array([[0, classes, classes, ignored, 1, 1]], kind)
    for name, labels in (("truth", truth), ("found", found)):
        write_label_map(tmp_path / f"{name}.png", labels)
    files = {"a": tmp_path / "found.png"}, {"a": tmp_path / "truth.png"}
    scores = score_label_maps(*files, [f"c{k}" for k in range(classes)], tmp_path / "scores.csv")
    if classes == 1:  # background 1 of 2, class 2 of 4
        assert scores.iou.tolist() == pytest.approx([1 / 2, 2 / 4])
    else:
        assert scores.iou[[0, 1, classes]].tolist() == pytest.approx([1 / 2, 1, 1 / 3])


@pytest.mark.parametrize("classes", [1, 2, 300])
def test_pseudo_labels_and_scores_of_class_maps(tmp_path, classes):
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((4, 8, 3), np.uint8)).save(image)
    cam = np.zeros((1, 4, 8), np.float32)
    cam[0, :, 4:] = 1
    maps = ImageCams("a", np.array([classes - 1], np.int16), cam[:, ::4, ::4], cam, 4, 8)
    labels = pseudo_label_map(image, maps, BackgroundScore(threshold=0.5), None, 0.6)
    assert set(np.unique(labels)) <= {0, classes, ignored_in(labels)} and (labels[:, 4:] == classes).all()
    truth = np.zeros((4, 8), label_type(classes))
    truth[:, 4:], truth[0] = classes, ignored_value(classes)
    write_label_map(tmp_path / "mask.png", truth)
    write_cam_store(tmp_path / "cams.h5", NAMES[:classes], {}, [maps])
    with CamStoreReader([tmp_path / "cams.h5"]) as cams:
        score_cams(cams, {"a": tmp_path / "mask.png"}, tmp_path / "scores.csv")
    row = pandas.read_csv(tmp_path / "scores.csv").iloc[50]
    assert row["miou"] == 1 and row[f"iou_{NAMES[classes - 1]}"] == 1


@pytest.mark.parametrize("classes", [1, 2, 254, 255, 300])
@pytest.mark.parametrize("loss", [cross_entropy, balanced_cross_entropy])
def test_losses_leave_out_what_is_ignored(classes, loss):
    labels = torch.tensor([[[0, classes, ignored_value(classes)]]])
    logits = torch.randn(1, classes + 1, 1, 3, requires_grad=True)
    loss(logits, labels).backward()
    gradient = logits.grad
    assert gradient is not None
    assert gradient[..., :2].abs().sum(dim=1).min() > 0 and not gradient[..., 2].any()


def test_training_samples_of_300_classes(tmp_path):
    rows = []
    for name, kind, values in (("a", np.uint8, [0, 254, 255]), ("b", np.uint16, [0, 300, 65535])):
        Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(tmp_path / f"{name}.jpg")
        write_label_map(tmp_path / f"{name}.png", np.tile(np.array(values, kind), (3, 1)))
        rows.append((name, "train", str(tmp_path / f"{name}.jpg"), 3, 3, "c000"))
    table = pandas.DataFrame(rows, columns=["image_id", "split", "image", "height", "width", "labels"])
    files = {name: tmp_path / f"{name}.png" for name in ("a", "b")}
    samples = LabelMapSamples(DatasetIndex(NAMES, table), files, Augmentation(crop=8, flip=False, scale=(1, 1)))
    for number, largest in enumerate((254, 300)):
        _, labels, _ = samples[number]
        assert set(labels.unique().tolist()) == {0, largest, 65535}
    unlabelled = LabelMapSamples(DatasetIndex(NAMES, table), {"a": files["a"]}, Augmentation(crop=8), unlabelled=True)
    assert unlabelled[1][1].unique().tolist() == [65535]


@pytest.mark.parametrize("classes", [1, 2, 300])
def test_masks_of_a_folder(tmp_path, classes):
    tree = FolderTree(tmp_path / "mine", classes=NAMES[:classes]).images(["a.jpg", "b.jpg"])
    tree.labels({"a": ["c000"], "b": [NAMES[classes - 1]]}).splits({"a": "train", "b": "val"})
    mask = np.zeros((6, 8), label_type(classes))
    mask[0], mask[1] = classes, ignored_value(classes)
    tree.mask("b.png", mask)
    assert set(tree.masks_table(tmp_path / "out")) == {"b"}
    mask[2] = classes + 1
    tree.mask("b.png", mask)
    with pytest.raises(DatasetFaults, match=f"has the values {classes + 1}; allowed are 0"):
        tree.masks_table(tmp_path / "out")


def test_masks_of_16_bits_are_for_many_classes_only(tmp_path):
    tree = FolderTree(tmp_path / "mine").images(["a.jpg", "b.jpg"]).labels({"a": ["x"], "b": ["x"]})
    tree.splits({"a": "train", "b": "val"}).mask("b.png", np.zeros((6, 8), np.uint16))
    with pytest.raises(DatasetFaults, match="16-bit grey, which is only for more than 254 classes"):
        tree.masks_table(tmp_path / "out")


def test_a_thousand_classes_are_allowed_and_not_more(tmp_path):
    for number, right in ((MOST_CLASSES, True), (MOST_CLASSES + 1, False)):
        tree = FolderTree(tmp_path / str(number)).images(["a.jpg"])
        tree.table("labels.csv", [("image", *(f"c{k}" for k in range(number))), ("a", *"1" * number)])
        faults = tree.listing().faults
        assert (faults == []) == right
        assert right or "at most 1000" in faults[0].detail


@pytest.mark.parametrize("one_hot", [True, False])
def test_far_too_many_classes_are_reported_at_once(tmp_path, one_hot):
    tree = FolderTree(tmp_path).images(["a.png", "b.png"])
    names = [f"c{number}" for number in range(10_000)]
    if one_hot:
        rows = [["image", *names], ["a.png", *["1"] * len(names)], ["b.png", *["0"] * len(names)]]
    else:
        rows = [["image", "label"], *([f"{'ab'[number % 2]}.png", name] for number, name in enumerate(names))]
    tree.table("labels.csv", rows)
    (fault,) = tree.raw.list_images().faults
    assert "10,000" in fault.detail and "at most 1000 classes are supported" in fault.detail


def test_a_few_classes_of_far_too_many_can_be_used(tmp_path):
    tree = FolderTree(tmp_path, classes=("c1", "c2")).images(["a.png", "b.png"])
    rows = [["image", "label"], *([f"{'ab'[number % 2]}.png", f"c{number}"] for number in range(3_000))]
    tree.table("labels.csv", rows)
    faults = tree.raw.list_images().faults
    assert len(faults) == 2_998 and sum("did you mean" in fault.detail for fault in faults) <= MOST_HINTS
