"""Pseudo labels from class maps and saliency maps, through the workflow."""

import numpy as np
import pytest
from PIL import Image

from tests.oracles.plain_saliency import plain_label
from wsss_core.config import load_config
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.plan.plan import Plan

from .workflow import Workflow, small_demo

pytestmark = pytest.mark.xdist_group("jobs")


def stages_of(workflow, experiment):
    return Plan(load_config(workflow.config)).experiments[experiment]


@pytest.fixture(scope="module")
def salient(tmp_path_factory):
    """Labels with and without saliency maps, which are made from masks here."""
    config = small_demo("cam")
    config["dataset"]["generate"] = {"train_images": 12, "val_images": 4, "size": 48, "seed": 3}
    config["dataset"]["saliency"] = "saliency"
    config["affinities"] = {
        "alone": {"method": "none"},
        "saliency": {"method": "none", "pseudo_labels": {"background": {"saliency": {}}, "crf": None}},
    }
    config["experiments"] = {name: {"cams": "cam", "affinity": name} for name in ("alone", "saliency")}
    workflow = Workflow(tmp_path_factory.mktemp("salient"), config)
    workflow.run("cams")  # for which no saliency map has to be there
    (raw,) = workflow.results.glob("generated/*")
    folder = workflow.folder / "saliency"
    folder.mkdir()
    for image_id in (raw / "ImageSets/Segmentation/train.txt").read_text().split():
        mask = read_mask(raw / "SegmentationClass" / f"{image_id}.png")
        Image.fromarray(np.where(mask > 0, 230, 40).astype(np.uint8)).save(folder / f"{image_id}.png")
    workflow.run("pseudo_labels")
    return workflow


def test_labels_are_those_of_both(salient):
    stages = stages_of(salient, "saliency")
    labels = read_label_manifest((salient.folder / stages["pseudo_labels"].directory).glob("labels/*.csv"))
    (index_folder,) = salient.results.glob("dataset/*")
    index = read_index(index_folder / "index.csv", index_folder / "classes.json").split("train")
    assert list(labels) == index.image_ids
    objects = 0
    with CamStoreReader(sorted((salient.folder / stages["cams"].directory).glob("shards/*.h5"))) as cams:
        for image_id in index.image_ids[:3]:
            maps = cams.read(image_id)
            full = maps.full_size() / maps.full_size().max()
            saliency = np.asarray(Image.open(salient.folder / f"saliency/{image_id}.png")) / 255
            found = read_mask(labels[image_id])
            for row, column in np.ndindex(*found.shape):
                label = plain_label(saliency[row, column], full[:, row, column].tolist(), 1)
                assert found[row, column] == (0 if label == 0 else maps.classes[label - 1] + 1)
                objects += label > 0
    assert objects > 0


def test_nothing_is_made_again_but_what_a_change_touches(salient):
    assert salient.planned("pseudo_labels") == {}
    weighted = salient.changed()
    weighted.config["affinities"]["saliency"]["pseudo_labels"]["background"]["saliency"] = {"attention_weight": 2}
    assert weighted.planned("pseudo_labels") == {"make_pseudo_labels": 1, "pseudo_labels": 1}
    # Another map in the folder: all are checked again, and as no pixel of the others differs, the labels stay.
    Image.new("L", (3, 3)).save(salient.folder / "saliency/nobody.png")
    assert salient.planned("check_dataset")["index_saliency"] == 1
    assert "belongs to no image" in salient.run("check_dataset")
    assert salient.planned("pseudo_labels") == {}
    changed = next((salient.folder / "saliency").glob("creature*.png"))
    pixels = 255 - np.asarray(Image.open(changed))
    changed.unlink()
    Image.fromarray(pixels).save(changed)
    salient.run("check_dataset")
    assert salient.planned("pseudo_labels") == {"make_pseudo_labels": 1, "pseudo_labels": 1}


def test_a_wrong_map_stops_the_check_of_the_data_set(salient):
    stages = stages_of(salient, "saliency")
    changed = next((salient.folder / "saliency").glob("creature*.png"))
    content = changed.read_bytes()
    changed.unlink()
    stopped = salient.attempt("check_dataset")
    assert stopped.returncode != 0 and "this training image has no saliency map; each needs one" in stopped.stdout
    changed.write_bytes(content)
    salient.run("check_dataset")
    assert (salient.folder / stages["saliency"].path("saliency.csv")).exists()


def test_a_folder_that_is_missing_is_reported_where_it_is_needed(salient):
    elsewhere = salient.changed()
    elsewhere.config["dataset"]["saliency"] = "nowhere"
    assert elsewhere.planned("cams") == {}
    for target in ("pseudo_labels", "check_dataset"):
        reported = elsewhere.attempt("--dry-run", target)
        assert (
            reported.returncode != 0
            and "dataset.saliency: there is no folder nowhere, which must have" in reported.stdout
        )
