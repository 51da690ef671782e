import re
from pathlib import Path

import pytest

from benchmarks import methods
from benchmarks.methods import ABLATIONS, CONTROL, CONTROLS, METHODS, SEEDS_ONLY, configuration
from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


@pytest.fixture
def plan(tmp_path):
    return Plan(load_config(configuration(DEMO, 4, tmp_path)))


def test_every_seed_has_data_and_orders_of_its_own_and_the_same_backbones(tmp_path):
    plans = [Plan(load_config(configuration(DEMO, seed, tmp_path))) for seed in (1, 2)]
    for stage in ("generated", "classifier", "affinity", "segmenter"):
        first, second = ({artifact.digest for artifact in plan.artifacts(stage)} for plan in plans)
        assert not first & second
    assert [a.digest for a in plans[0].artifacts("backbone")] == [a.digest for a in plans[1].artifacts("backbone")]


def test_a_control_is_an_ordinary_classifier_with_the_methods_start_and_epochs(plan):
    for method in (method for method, control in CONTROLS.items() if control == CONTROL):
        control, trained = (plan.experiments[experiment]["classifier"] for experiment in (CONTROL, method))
        assert control.parameters["objective"] == "ordinary"
        assert control.upstream["start_from"] is trained.upstream["start_from"]
        assert control.parameters["optimisation"]["epochs"] == trained.parameters["optimisation"]["epochs"]
        assert control.parameters["trunk"] == trained.parameters["trunk"]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_what_it_says_of_its_method(plan, name):
    method, changes = ABLATIONS[name]
    for section, stage in (("cams", "cams"), ("classifiers", "classifier")):
        whole, ablated = (plan.experiments[experiment][stage].parameters for experiment in (method, name))
        assert {key for key in whole if whole[key] != ablated[key]} == set(changes.get(section, {}))
    assert method in (*METHODS, *SEEDS_ONLY) and name.startswith(method)


def test_the_tables_hold_means_spreads_and_paired_differences(plan, monkeypatch):
    def scores(config):
        seed = config["dataset"]["generate"]["seed"]
        base = {name: {key: 50.0 + seed for key in methods.COLUMNS} for name in config["experiments"]}
        base["cgnet"] = {key: 53.0 + 2 * seed for key in methods.COLUMNS}
        return base

    monkeypatch.setattr(methods, "scores_of_seed", scores)
    text = methods.report({seed: configuration(DEMO, seed, Path("r")) for seed in (1, 3)})
    assert "| cgnet | 57.0 ± 2.8 |" in text  # 55 and 59
    assert "| cgnet | 52.0 ± 1.4 | +5.0 ± 1.4 | +4.0 +6.0 |" in text
    assert "| cgnet_without_erasing | 52.0 ± 1.4 | -5.0 ± 1.4 | -4.0 -6.0 |" in text
    assert re.search(r"\d+ cores", text) and "450 training and 150 validation images of 96 pixels" in text
