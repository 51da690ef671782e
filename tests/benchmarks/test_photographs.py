from pathlib import Path

from benchmarks.photographs import CONTROLS, METHODS, RECIPE, configuration, report
from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS_RECIPE, FOLDER_RECIPE = (read_yaml(CONFIGS / f"{name}.yaml") for name in ("voc12-laptop", "folder-cpu"))


def configured(seed, folder=Path("photos")):
    return configuration(METHODS_RECIPE, FOLDER_RECIPE, folder, seed, Path("results"))


def test_the_recipes_share_drawn_maps():
    plans = [
        Plan(load_config({**recipe, "dataset": FOLDER_RECIPE["dataset"]})) for recipe in (METHODS_RECIPE, FOLDER_RECIPE)
    ]
    drawn, balanced = (plan.experiments["advcam"]["cams"] for plan in plans)
    assert balanced.upstream["drawn"].digest == drawn.digest


def test_what_the_recipe_makes_is_made_of_the_recipe_itself():
    recipe = {**FOLDER_RECIPE, "dataset": configured(0)["dataset"]}
    own, benchmarked = (
        Plan(load_config(recipe)).experiments["advcam"],
        Plan(load_config(configured(0))).experiments[RECIPE],
    )
    assert {stage: artifact.digest for stage, artifact in own.items()} == {
        stage: artifact.digest for stage, artifact in benchmarked.items()
    }


def test_seeds_change_the_trainings_and_nothing_else():
    plans = [Plan(load_config(configured(seed))) for seed in (0, 1)]
    for stage, shared in (("dataset", True), ("backbone", True), ("classifier", False), ("segmenter", False)):
        first, second = ({artifact.digest for artifact in plan.artifacts(stage)} for plan in plans)
        assert bool(first & second) == shared


def test_the_control_has_the_methods_start_and_epochs():
    plan = Plan(load_config(configured(0)))
    control = plan.experiments["control"]["classifier"]
    for method in METHODS:
        if CONTROLS.get(method) == "control":
            trained = plan.experiments[method]["classifier"]
            assert control.upstream["start_from"] is trained.upstream["start_from"]
            assert control.parameters["optimisation"]["epochs"] == trained.parameters["optimisation"]["epochs"]
            assert (
                cams_of(plan, method)["scales"] == cams_of(plan, "control")["scales"] == cams_of(plan, "cam")["scales"]
            )
    of_advcam = CONTROLS["advcam"]
    assert plan.experiments["advcam"]["classifier"] is plan.experiments[of_advcam]["classifier"]
    assert cams_of(plan, "advcam")["scales"] == cams_of(plan, of_advcam)["scales"] == [1.0]


def cams_of(plan, experiment):
    return plan.experiments[experiment]["cams"].parameters


def test_only_the_upper_bound_is_made_of_masks():
    plan = Plan(load_config(configured(0)))

    def sees_masks(artifact):
        return artifact.stage == "masks" or any(map(sees_masks, artifact.upstream.values()))

    for name, stages in plan.experiments.items():
        assert any(map(sees_masks, stages.values())) == (name == "full")


def test_the_tables_hold_means_spreads_and_paired_differences():
    def scores(seed):
        made = {"oracle": 50.0 + seed, "rule": 49.0 + seed, "threshold": 0.4, "best": 0.45}
        found = {name: dict(made) for name in (RECIPE, *METHODS, *CONTROLS.values())}
        found["cgnet"] |= {"oracle": 53.0 + 2 * seed}
        found[RECIPE] |= {"refined_seed": 55.0, "walk": 58.0, "pseudo_labels": 60.0, "val": 54.0}
        return {**found, "full": {"val": 60.0}}

    text = report({seed: scores(seed) for seed in (1, 3)}, configured(0), {"train": 9, "val": 4})
    assert "| cgnet | 57.0 ± 2.8 | 51.0 ± 1.4 |" in text
    assert "| cgnet | control | +5.0 ± 1.4 | +4.0 +6.0 | +0.0 ± 0.0 | +0.0 +0.0 |" in text
    assert "| advcam | 0.40 ± 0.00 | 0.45 ± 0.00 | 1.0 ± 0.0 |" in text
    assert "reaches 90.0 ± 0.0 %" in text and "9 training and 4 validation images" in text


def test_what_is_not_named_is_left_out_and_controls_come_along():
    def experiments(*only):
        given = configuration(METHODS_RECIPE, FOLDER_RECIPE, Path("photos"), 0, Path("results"), only)
        return Plan(load_config(given)).experiments

    whole, part = Plan(load_config(configured(0))).experiments, experiments("cgnet", "advcam")
    assert set(part) == {"cgnet", "control", "advcam", "cam_of_advcam"} and set(experiments(RECIPE)) == {RECIPE, "full"}
    assert all(part[name]["cams"].digest == whole[name]["cams"].digest for name in part)
    made = {"oracle": 50.0, "rule": 49.0, "threshold": 0.4, "best": 0.45}
    text = report({0: dict.fromkeys(part, made)}, configured(0), {"train": 9, "val": 4})
    assert "| cgnet | control | +0.0" in text and "seenet" not in text and "on masks" not in text
