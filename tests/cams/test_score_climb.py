import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from wsss_core.cams import score_climb as module
from wsss_core.cams.advcam import advcam_class_maps
from wsss_core.cams.amplification import Amplification
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.cams.score_climb import climbs_at_scales, maps_over_steps, scale_of_regions, score_climb
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.evaluation.score import score_cams
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.files.image_cams import CAM_STRIDE, enlarged
from wsss_core.jobs.run import Run

from .test_record_climb import index_of, picture, saved_classifier, settings
from .tiny_network import TinyClassifier


@pytest.mark.parametrize("scales", [(0.5, 1.0), (1.0, 1.5), (0.5,)])
@pytest.mark.parametrize("high_res", [True, False])
def test_the_first_steps_of_a_climb_are_a_climb_of_fewer_steps(scales, high_res):
    network, image = TinyClassifier(), picture(height=22, width=31)
    longest = settings(steps=12, scales=scales, high_res=high_res, precision="float32")
    climbed = climbs_at_scales(network, image, [0, 3], longest)
    every = list(maps_over_steps(climbed, (22, 31), longest))
    assert len(every) == 12
    for steps in (1, 2, 5, 6, 10, 11, 12):  # below scale 1: 1, 2, 5, 5, 5, 5, 6
        alone = advcam_class_maps(network, image, [0, 3], settings(steps=steps, scales=scales, high_res=high_res))
        cam, large = alone.normalised()
        if high_res:
            np.testing.assert_allclose(every[steps - 1], large.numpy(), atol=1e-6)
        else:
            of_its_own = enlarged(cam.numpy(), CAM_STRIDE, 22, 31)
            assert of_its_own.max() > 0
            np.testing.assert_allclose(every[steps - 1], of_its_own, atol=1e-6)


@pytest.mark.parametrize(
    ("scales", "wanted"),
    [
        ((0.5, 1.5), 1.5),
        ((1.5, 0.5), 1.5),
        ((0.75, 1.5), 1.5),
        ((0.75, 1.0, 1.25), 1.0),
        ((2.0, 1.5), 1.5),
        ((0.5, 0.75), 0.75),
    ],
)
def test_regions_are_counted_at_the_scale_nearest_to_1_that_has_all_steps(scales, wanted):
    assert scales[scale_of_regions(settings(steps=12, scales=scales))] == wanted
    of_all = settings(steps=12, scales=(0.75, 1.5), steps_below_scale_1="all")
    assert scale_of_regions(of_all) == 0


def test_without_a_scale_of_all_steps_regions_are_counted_over_those_there_are(tree, tmp_path, caplog):
    with caplog.at_level("WARNING"):
        _, regions = scored(tree, tmp_path / "below", settings(steps=7, scales=(0.5,)))
    assert "counted over 5 of 7 steps" in caplog.text
    assert regions["grown_discriminative"].notna().tolist() == [True] * 5 + [False] * 2
    assert regions["ratio_other"].notna().tolist() == [True] * 5 + [False] * 2
    _, regions = scored(tree, tmp_path / "beside", settings(steps=7, scales=(0.5, 1.5)))
    assert regions["grown_discriminative"].notna().all()


@pytest.fixture
def tree(tmp_path):
    """Four images, of which one has no label and one no mask."""
    index = index_of(tmp_path, ["cat;owl", "", "dog", "cat"])
    masks = {}
    for number, value in ((0, 1), (1, 0), (2, 2)):
        labels = np.zeros((32, 32), np.uint8)
        labels[8:24, 4:20] = value
        masks[f"image/{number}"] = tmp_path / f"mask_{number}.png"
        write_label_map(masks[f"image/{number}"], labels)
    return index, masks, saved_classifier(tmp_path)


def scored(tree, folder, parameters, run=None):
    index, masks, weights = tree
    tables = folder / "scores.csv", folder / "amplification.csv"
    score_climb(parameters, index, masks, weights, tables, {"scales": "two"}, run or Run(device="cpu"))
    return [pandas.read_csv(table) for table in tables]


def test_the_scores_after_all_steps_are_those_of_the_class_maps(tree, tmp_path):
    index, masks, weights = tree
    parameters = settings(steps=4)
    table, _ = scored(tree, tmp_path / "climbed", parameters)
    assert table["steps"].unique().tolist() == [1, 2, 3, 4] and len(table) == 400
    assert (table["scales"] == "two").all() and (table["images_scored"] == 3).all()
    assert (table["images_without_mask"] == 1).all()
    for steps in (1, 4):
        shard = tmp_path / str(steps) / "shards" / "000-of-001.h5"
        generate_cams(settings(steps=steps), index, weights, shard, Run(device="cpu"))
        with CamStoreReader([shard]) as cams:
            score_cams(cams, masks, tmp_path / "scores.csv")
        of_maps, own = pandas.read_csv(tmp_path / "scores.csv"), table[table["steps"] == steps].reset_index(drop=True)
        # Images that are drawn side by side round otherwise: a pixel here or there.
        for column in ("miou", "precision", "recall", "iou_cat"):
            np.testing.assert_allclose(own[column], of_maps[column], atol=5e-3)
    assert not table[table["steps"] == 1]["miou"].equals(table[table["steps"] == 4]["miou"])


def test_a_killed_job_goes_on_after_its_last_block(tree, tmp_path, monkeypatch):
    whole = scored(tree, tmp_path / "whole", settings(steps=3))
    monkeypatch.setattr(module, "BLOCK_IMAGES", 1)
    climbed, count = [], module._count

    def counting(tally, classifier, image, parameters):
        if len(climbed) == 2:
            raise KeyboardInterrupt
        climbed.append(image.image_id)
        count(tally, classifier, image, parameters)

    monkeypatch.setattr(module, "_count", counting)
    run = Run(device="cpu", inputs=[tree[2]])
    with pytest.raises(KeyboardInterrupt):
        scored(tree, tmp_path / "killed", settings(steps=3), run)
    assert climbed == ["image/0", "image/1"] and not (tmp_path / "killed/scores.csv").exists()
    climbed.clear()
    resumed = scored(tree, tmp_path / "killed", settings(steps=3), run)
    assert climbed == ["image/2"]
    for one, other in zip(whole, resumed, strict=True):
        pandas.testing.assert_frame_equal(one, other)


def test_what_is_damaged_of_an_earlier_run_is_made_again(tree, tmp_path):
    whole = scored(tree, tmp_path / "whole", settings(steps=3))
    run = Run(device="cpu", inputs=[tree[2]])
    partial = module.PartialWork(tmp_path / "damaged", "climb_scores", run.inputs)
    for content in (b"", b"no archive", b"PK\x03\x04 and no more"):
        partial.folder.mkdir(parents=True, exist_ok=True)
        partial.path("tally.npz").write_bytes(content)
        (tmp_path / "damaged/scores.csv").unlink(missing_ok=True)
        (tmp_path / "damaged/amplification.csv").unlink(missing_ok=True)
        for link in partial.folder.glob("finished-*"):
            link.unlink()
        again = scored(tree, tmp_path / "damaged", settings(steps=3), run)
        pandas.testing.assert_frame_equal(whole[0], again[0])


def test_a_mask_of_another_size_is_named(tree, tmp_path):
    index, masks, weights = tree
    Image.new("L", (9, 9)).save(masks["image/0"])
    reported = r"image 'image/0', mask .*mask_0\.png: the class maps are 32 x 32, the mask 9 x 9"
    with pytest.raises(UserError, match=reported):
        scored((index, masks, weights), tmp_path / "out", settings(steps=2))


def plain_amplification(climbs, lowest, highest):
    """By loops over the pixels of climbs (steps, h, w): per step the share that has grown, and the mean ratio."""
    steps = len(climbs[0])
    grown, ratios, number = [0] * steps, [0.0] * steps, 0
    for maps in climbs:
        largest = max(value for row in maps[0] for value in row)
        for y, row in enumerate(maps[0]):
            for x, clean in enumerate(row):
                if clean > 0 and lowest * largest <= clean < highest * largest:
                    number += 1
                    for step in range(steps):
                        grown[step] += maps[step][y][x] > clean
                        ratios[step] += maps[step][y][x] / clean
    return [count / number for count in grown], [total / number for total in ratios]


def test_amplification_is_that_of_a_loop_over_pixels():
    generator = np.random.default_rng(0)
    climbs = [generator.random((3, 5, 7)).astype(np.float32) * scale for scale in (1, 20)]
    tallied = Amplification(3)
    for maps in climbs:
        tallied.add(maps)
    for region, bounds in enumerate([(0.5, np.inf), (0.1, 0.5)]):
        shares, ratios = plain_amplification(climbs, *bounds)
        np.testing.assert_allclose(tallied.shares()[:, region], shares)
        np.testing.assert_allclose(tallied.mean_ratios()[:, region], ratios, rtol=1e-5)
    assert (tallied.shares()[0] == 0).all() and np.allclose(tallied.mean_ratios()[0], 1)


def test_an_empty_map_has_no_region_that_could_grow():
    tallied = Amplification(2)
    tallied.add(np.zeros((2, 3, 3), np.float32))
    assert np.isnan(tallied.shares()).all() and tallied.pixels.tolist() == [0, 0]


def test_regularisation_keeps_what_is_discriminative_as_it_is():
    """The paper's point, on a network with random weights, whose maps rather shrink."""
    torch.manual_seed(0)
    network, image = TinyClassifier(), picture(height=32, width=32)
    ratios = []
    for regularisation in (0, 100):
        parameters = settings(steps=8, scales=(1.0,), regularisation=regularisation)
        (climbed,) = climbs_at_scales(network, image, [0, 1, 2, 3], parameters)
        tallied = Amplification(8)
        for maps in climbed.float().numpy():
            tallied.add(maps)
        ratios.append(tallied.mean_ratios()[-1, 0])
    assert abs(ratios[1] - 1) < 0.5 * abs(ratios[0] - 1)
