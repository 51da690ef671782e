import copy
from pathlib import Path

import pytest

from wsss_core.config import read_yaml
from wsss_core.plan.comparison import described_comparison, files_of_repeats, repeats_of
from wsss_core.plan.rules import Rules

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")
SEED = "classifiers.cgnet.optimisation.seed"


def ruled(change=lambda raw: None):
    raw = copy.deepcopy(DEMO)
    change(raw)
    return Rules(raw)


def swept(raw):
    raw["sweeps"] = {"s": {"experiment": "cgnet", "fields": {SEED: [0, 1, 2]}}}


def test_points_that_differ_only_in_seeds_repeat_their_experiment():
    rules = ruled(swept)
    assert repeats_of(rules)["cgnet"] == ["s-seed=0", "s-seed=1", "s-seed=2"]
    assert not any(repeats_of(rules)[name] for name in DEMO["experiments"] if name != "cgnet")
    files = files_of_repeats(rules)
    assert {f"results/creatures/experiments/s-seed={seed}/links.json" for seed in (0, 1, 2)} <= set(files)
    assert set(rules.scores_of(["s-seed=1"])) <= set(files)


def test_a_point_with_another_setting_repeats_nothing():
    def change(raw):
        swept(raw)
        raw["cams"]["cgnet"]["threshold"] = 0.6
        raw["sweeps"]["s"]["fields"]["cams.cgnet.threshold"] = [0.5, 0.6]

    assert repeats_of(ruled(change))["cgnet"] == [f"s-seed={seed}-threshold=0.6" for seed in (0, 1, 2)]


def test_experiments_that_differ_only_in_seeds_repeat_each_other():
    def change(raw):
        raw["classifiers"]["again"] = {"extends": "ordinary", "optimisation": {"seed": 5}}
        raw["cams"]["again"] = {"extends": "cam", "classifier": "again"}
        raw["cams"]["lower"] = {"extends": "again", "threshold": 0.2}
        raw["experiments"] = {
            "cam": {"cams": "cam"},
            "again": {"cams": "again"},
            "lower": {"cams": "lower"},
            "further": {"cams": "again", "affinity": "irn"},
        }

    rules = ruled(change)
    assert repeats_of(rules) == {"cam": ["again"], "again": ["cam"], "lower": [], "further": []}
    assert described_comparison(rules)["cam"]["same"] == ["again"] and files_of_repeats(rules) == []
    (repeat,) = described_comparison(rules)["cam"]["repeats"]
    assert repeat["scores"] == rules.score_files(rules.stages["again"])


def test_a_balanced_cam_is_not_the_plain_one():
    rules = ruled(lambda raw: raw["cams"]["cam"].update(balance_classes=True))
    assert not described_comparison(rules)["cam"]["plain_cam"]


@pytest.mark.parametrize(("name", "plain"), [("cam", True), ("advcam", False), ("cgnet", False), ("full", False)])
def test_the_plain_cam_is_an_ordinary_classifiers_own_maps(name, plain):
    described = described_comparison(ruled())[name]
    assert described["plain_cam"] == plain
    assert described["chain"] == ([None, "deeplab"] if name == "full" else ["irn", "deeplab"])
