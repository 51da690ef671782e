import json

import numpy as np
import pytest

from wsss_core.errors import UserError
from wsss_core.evaluation.threshold_of_maps import choose_threshold_without_masks
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store


def stored(folder, maps):
    """A reader of stored class maps; each image's (K, h, w)."""
    images = [
        ImageCams(f"i{n}", np.arange(len(cam)), cam.astype(np.float32), None, 4 * cam.shape[1], 4 * cam.shape[2])
        for n, cam in enumerate(maps)
    ]
    write_cam_store(folder / "cams.h5", ["cat", "dog", "cow"], {}, images, "float32")
    return CamStoreReader([folder / "cams.h5"])


def plainly(maps, walked=False, deviations=0.65):
    """All images' values in one list, each image as often as another."""
    sides = [cam.shape[1] * cam.shape[2] for cam in maps if len(cam)]
    values, weights = [], []
    for cam in maps:
        if len(cam):
            largest = np.array(
                [max(cam[:, i, j]) for i in range(cam.shape[1]) for j in range(cam.shape[2])], np.float64
            )
            values.append(largest / largest.max() if walked else largest)
            weights.append(np.full(len(largest), 1 / len(largest) / len(sides)))
    values, weights = np.concatenate(values), np.concatenate(weights)
    mean = (values * weights).sum()
    return mean + deviations * np.sqrt((weights * (values - mean) ** 2).sum())


@pytest.mark.parametrize("walked", [False, True])
def test_it_is_mean_and_deviation_of_all_values(tmp_path, walked):
    generator = np.random.default_rng(1)
    shapes = [(1, 5, 7), (3, 12, 4), (0, 6, 6), (2, 3, 3)]
    maps = [generator.beta(0.7, 2, shape) * (0.5 if walked else 1) for shape in shapes]
    with stored(tmp_path, maps) as cams:
        chosen = choose_threshold_without_masks(cams, tmp_path / "threshold.json", "a rule", walked)
    assert chosen == pytest.approx(plainly([cam.astype(np.float32) for cam in maps], walked), abs=0.00501)
    written = json.loads((tmp_path / "threshold.json").read_text())
    assert written == {"threshold": chosen, "source": "a rule", "images": 3}
    assert f"{chosen:.2f}" == str(chosen).ljust(4, "0")


def test_maps_that_reach_further_get_a_higher_threshold(tmp_path):
    sharp = np.random.default_rng(2).beta(0.5, 3, (1, 20, 20))
    chosen = []
    for name, cam in (("sharp", sharp), ("flat", np.sqrt(sharp))):
        (tmp_path / name).mkdir()
        with stored(tmp_path / name, [cam]) as cams:
            chosen.append(choose_threshold_without_masks(cams, tmp_path / name / "t.json", ""))
    assert chosen[0] < chosen[1]


def test_thresholds_stay_in_their_range(tmp_path):
    high = np.ones((1, 4, 4))
    high[0, 0, 0] = 0.99
    with stored(tmp_path, [high]) as cams:
        assert choose_threshold_without_masks(cams, tmp_path / "t.json", "") == 0.99


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([np.zeros((1, 4, 4))], "class maps of all 1 images are constant"),
        ([np.zeros((0, 4, 4))], "as no image has a class map"),
    ],
)
def test_maps_that_say_nothing(tmp_path, maps, message):
    with stored(tmp_path, maps) as cams, pytest.raises(UserError, match=message):
        choose_threshold_without_masks(cams, tmp_path / "t.json", "")
    assert not (tmp_path / "t.json").exists()
