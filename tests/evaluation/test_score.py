import logging
import math

import numpy as np
import pandas
import pytest
from PIL import Image

from tests.oracles.plain_scores import plain_confusion, plain_seed
from wsss_core.errors import UserError
from wsss_core.evaluation.confusion import scores_of
from wsss_core.evaluation.score import score_cams, score_label_maps
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store

CLASSES = ("cat", "dog", "sofa, red")


def write_map(path, values):
    image = Image.fromarray(np.array(values, np.uint8), mode="P")
    image.putpalette(list(range(256)) * 3)
    image.save(path)
    return path


@pytest.fixture
def cams(tmp_path):
    random = np.random.default_rng(1)
    images = [
        ImageCams(f"image{n}", np.array([0, 1][: n + 1], np.int16), *maps, 6, 9)
        for n, maps in enumerate(
            (random.random((k, 2, 3), dtype=np.float32), random.random((k, 6, 9), dtype=np.float32) if k == 2 else None)
            for k in (1, 2, 2)
        )
    ]
    write_cam_store(tmp_path / "cams.h5", CLASSES, {}, images, "float32")
    with CamStoreReader([tmp_path / "cams.h5"]) as reader:
        yield reader


def test_cams_are_scored_at_every_threshold(cams, tmp_path, caplog):
    truths = {f"image{n}": np.random.default_rng(n).integers(0, 3, (6, 9)) for n in (0, 1)}
    masks = {image_id: write_map(tmp_path / f"{image_id}.png", truth) for image_id, truth in truths.items()}
    with caplog.at_level(logging.INFO):
        score_cams(cams, masks, tmp_path / "scores.csv", conditions={"split": "train", "crf": "no"})
    assert "1 of 3 images have no mask" in caplog.text
    table = pandas.read_csv(tmp_path / "scores.csv")
    assert len(table) == 100 and table["threshold"].tolist() == [n / 100 for n in range(100)]
    assert set(table["images_scored"]) == {2} and set(table["images_without_mask"]) == {1}
    assert list(table)[:4] == ["threshold", "split", "crf", "miou"] and set(table["split"]) == {"train"}
    assert table["iou_sofa, red"].isna().all()
    for row in (0, 15, 99):
        matrix = sum(
            plain_confusion(plain_seed(read.full_size(), read.classes, row / 100), truth, 3)
            for image_id, truth in truths.items()
            for read in [cams.read(image_id)]
        )
        expected = scores_of(matrix)
        for name in ("miou", "precision", "recall", "pixel_accuracy"):
            assert table[name][row] == pytest.approx(getattr(expected, name), abs=1e-6)
        assert table["iou_cat"][row] == pytest.approx(expected.iou[1], abs=1e-6)


def test_label_maps_have_one_row(tmp_path):
    maps = {"a": write_map(tmp_path / "a.png", [[0, 1, 255]]), "b": write_map(tmp_path / "b.png", [[2, 2, 2]])}
    masks = {"a": write_map(tmp_path / "mask.png", [[0, 1, 1]])}
    scores = score_label_maps(maps, masks, CLASSES, tmp_path / "scores.csv", {"split": "val"})
    assert scores.miou == pytest.approx(0.75) and math.isnan(scores.iou[2])
    table = pandas.read_csv(tmp_path / "scores.csv")
    assert len(table) == 1 and table["miou"][0] == 0.75 and table["images_scored"][0] == 1
    assert table["iou_background"][0] == 1 and table["iou_cat"][0] == 0.5 and table["split"][0] == "val"


def test_the_boundary_score_is_a_mean_over_images_with_a_boundary(tmp_path):
    pairs = {"same": ([[0, 1]], [[0, 1]]), "half": ([[0, 1]], [[0, 2]]), "plain": ([[1, 1]], [[1, 1]])}
    maps = {name: write_map(tmp_path / f"{name}.png", predicted) for name, (predicted, _) in pairs.items()}
    masks = {name: write_map(tmp_path / f"{name}.mask.png", true) for name, (_, true) in pairs.items()}
    score_label_maps(maps, masks, CLASSES, tmp_path / "scores.csv")
    expected = (1 + 1 / 3) / 2
    assert pandas.read_csv(tmp_path / "scores.csv")["boundary_f"][0] == pytest.approx(expected, abs=1e-6)
    score_label_maps({"plain": maps["plain"]}, masks, CLASSES, tmp_path / "scores.csv")
    assert pandas.read_csv(tmp_path / "scores.csv")["boundary_f"].isna().all()


def test_faults_name_the_image(cams, tmp_path):
    small = write_map(tmp_path / "small.png", [[0, 1]])
    strange = write_map(tmp_path / "strange.png", np.full((6, 9), 7))
    csv = tmp_path / "scores.csv"
    for mask, message in ((small, "6 x 9, the mask 1 x 2"), (strange, "mask has the value 7")):
        with pytest.raises(UserError, match=f"'image1', .*{message}"):
            score_cams(cams, {"image1": mask}, csv)
        with pytest.raises(UserError, match=r"'image1', .*mask"):
            score_label_maps(
                {"image1": write_map(tmp_path / "map.png", np.zeros((6, 9)))}, {"image1": mask}, CLASSES, csv
            )
    assert not csv.exists()
    score_cams(cams, {"other": small}, csv)
    table = pandas.read_csv(csv)
    assert len(table) == 100 and table["miou"].isna().all() and (table["images_without_mask"] == 3).all()
    score_label_maps({"x": small}, {}, CLASSES, csv)
    assert pandas.read_csv(csv)["miou"].isna().all()
