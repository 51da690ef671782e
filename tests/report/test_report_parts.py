import math

import pytest

from wsss_core.report.artifact_graph import columns_of, without_detours
from wsss_core.report.charts import Series, line_chart, ticks
from wsss_core.report.costs import costs_of_experiments, costs_of_rules, job_costs
from wsss_core.report.seed_curves import class_scores, seed_curves
from wsss_core.report.training_curves import training_curves

from .run_tree import made_run, measured


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 3, [3]),
        (0, 50, [0, 10, 20, 30, 40, 50]),
        (41.2, 62.9, [45, 50, 55, 60]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_a_chart_breaks_its_line_where_there_is_no_number():
    chart = line_chart("a <b>", [Series("x & y", 9, [(0, 1), (1, 2), (2, math.nan), (3, 1)])], "x", "y")
    assert chart.count("<polyline") == 1 and chart.count("<circle") == 1
    assert "a &lt;b&gt;" in chart and "x &amp; y" in chart and 'class="series s1 d1"' in chart
    assert "nan" not in chart
    assert line_chart("nothing", [Series("x", 0, [(0, math.nan)])], "x", "y") == ""


def test_an_axis_that_counts_has_whole_numbers():
    line = Series("x", 0, [(1, 1), (3, 7)])
    assert ">1.5<" in line_chart("t", [line], "x", "y", (320, 210))
    chart = line_chart("t", [line], "x", "y", (320, 210), whole=True)
    assert ">1.5<" not in chart and ">2<" in chart
    assert ticks(1, 8, 4, whole=True) == [2, 4, 6, 8] and ticks(1, 3, 9, whole=True) == [1, 2, 3]


def test_a_chart_of_one_value_has_axes():
    assert "nan" not in line_chart("flat", [Series("x", 0, [(1, 0.0), (2, 0.0)])], "x", "y")


def test_seeds_are_reported_at_their_own_threshold(tmp_path):
    run = made_run(tmp_path)
    curves = seed_curves(run.experiments)
    assert [curve.name for curve in curves] == ["cam", "adv & cam"] and [c.number for c in curves] == [0, 1]
    assert curves[0].at_threshold["miou"] == pytest.approx(45) and curves[0].words == "0.40 (fixed)"
    shared = dict(run.experiments, again=run.experiments["cam"])
    assert [curve.name for curve in seed_curves(shared)] == ["cam, again", "adv & cam"]


def test_classes_that_no_mask_shows_have_no_score(tmp_path):
    seed, *_, val = class_scores(made_run(tmp_path).experiments)
    assert dict(seed.rows) == {"background": [90, 90], "cat": [50, 50], "<dog> & co": [None, None]}
    assert val.heading == "DeepLab, val"


def test_the_scores_of_classes_say_what_they_were_scored_under(tmp_path):
    seed, *_, val = class_scores(made_run(tmp_path).experiments)
    assert seed.said[0] == "split: train; background begins at: 0.40 (fixed); CRF: no; labels used: image labels"
    assert val.said[1] == "split: train; CRF: no; labels used: image labels" and len(val.said) == 2


def test_trainings_have_curves(tmp_path):
    (curve,) = training_curves(made_run(tmp_path).artifacts)
    assert (curve.variant, curve.epochs, curve.last, curve.images_per_second) == ("ordinary", 2, 0.5, 41.25)
    assert list(curve.series[0].points) == [(1, 0.7), (2, 0.5)]


def test_costs_are_of_the_newest_jobs_and_shared_ones_count_for_each_experiment(tmp_path):
    run = made_run(tmp_path)
    for shard in range(2):
        measured(tmp_path, "generate_cams", f"cam0-2222222222.00{shard}-of-002", 30)
    measured(tmp_path, "generate_cams", "other-9999999999", 1000)
    measured(tmp_path, "generate_cams", "cam1-3333333333", 0, text="s\tmax_rss\tcpu_time\n-\tNA\tNA\n")
    jobs = job_costs(tmp_path, run.artifacts)
    rules = {cost.name: cost for cost in costs_of_rules(jobs)}
    assert next(iter(rules)) == "generate_cams"
    assert rules["generate_cams"].jobs in (2, 3) and rules["train_classifier"].gpu_seconds == 7.5
    experiments = costs_of_experiments(jobs, run.artifacts, run.stages)
    assert experiments["cam"].seconds == 68 and experiments["cam"].memory == 512.5


def test_a_graph_goes_from_left_to_right():
    upstream = {"data": [], "trunk": [], "network": ["data", "trunk"], "maps": ["data", "network"], "more": ["network"]}
    assert columns_of(upstream) == [["data", "trunk"], ["network"], ["maps", "more"]]


def test_what_is_needed_by_way_of_another_has_no_edge():
    upstream = {"data": [], "network": ["data"], "maps": ["data", "network"], "labels": ["maps", "data", "network"]}
    assert without_detours(upstream) == {"data": [], "network": ["data"], "maps": ["network"], "labels": ["maps"]}
