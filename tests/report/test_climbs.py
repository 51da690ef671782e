import base64
import io

import numpy as np
import pytest
from PIL import Image

from wsss_core.report.climbs import MOST_FRAMES, class_iou, draw_climbs

from .run_tree import SIDE, block, made_climb, made_run


def decoded(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_a_climb_has_a_frame_for_each_step(tmp_path):
    run = made_run(tmp_path)
    (climb,) = draw_climbs(run.climbs, run.pictured.masks_csv)
    assert (climb.variant, climb.image_id, climb.class_name) == ("adv", "image_0", "cat")
    assert climb.steps == [1, 2, 3, 4, 5] and climb.scores == [0, 0.5, 1, 1.5, 2]
    for strip in (climb.images, climb.maps, climb.sums):
        assert decoded(strip).size == (5 * SIDE, SIDE)
    assert climb.threshold == "0.40 (fixed)" and "polyline" in climb.score_chart


def test_it_shows_which_region_of_the_map_grows(tmp_path):
    run = made_run(tmp_path)
    (climb,) = draw_climbs(run.climbs, run.pictured.masks_csv)
    # The clean image's map is 1 in its first row, which stays, and else 0, which is no region that could grow.
    assert climb.grown_chart.count("<polyline") == 1 and "discriminative region" in climb.grown_chart


def test_the_iou_is_that_of_the_sum_so_far(tmp_path):
    run = made_run(tmp_path)
    (climb,) = draw_climbs(run.climbs, run.pictured.masks_csv)
    # The mask has the upper 8 of 24 rows, 2 of the map's 6; the first row of the sum stays its maximum.
    assert len(climb.iou) == 5 and climb.iou[1] == pytest.approx(1, abs=0.2)
    assert climb.iou[0] < climb.iou[1] > climb.iou[4]


def test_without_masks_there_is_no_iou(tmp_path):
    run = made_run(tmp_path, masks=False)
    (climb,) = draw_climbs(run.climbs, None)
    assert climb.iou == [] and climb.iou_chart == ""


def test_a_long_climb_is_shown_in_part(tmp_path):
    file = made_climb(tmp_path, ["a"], steps=100)
    threshold = {"fixed": 0.4, "file": None, "source": "fixed"}
    (climb,) = draw_climbs({"adv": {"file": file, "threshold": threshold}}, None)
    assert len(climb.steps) == MOST_FRAMES and (climb.steps[0], climb.steps[-1]) == (1, 100)
    assert climb.all_steps == 100 and len(climb.scores) == MOST_FRAMES


def test_variants_stand_side_by_side(tmp_path):
    file = made_climb(tmp_path, ["b", "a"])
    described = {"file": file, "threshold": {"fixed": 0.4, "file": None, "source": "fixed"}}
    drawn = draw_climbs({"two": described, "one": described}, None)
    assert [(climb.image_id, climb.variant) for climb in drawn] == [
        ("a", "two"),
        ("a", "one"),
        ("b", "two"),
        ("b", "one"),
    ]


def test_ignored_pixels_do_not_count():
    values = np.ones((6, 6), np.float32)
    mask = block(1, 12)
    mask[12:18] = 255
    assert class_iou(values, mask, 1, 0.5) == pytest.approx(12 / 18)
    assert class_iou(0 * values, 0 * mask, 1, 0.5) == 0
