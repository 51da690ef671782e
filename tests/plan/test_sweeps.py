import copy
from pathlib import Path

import pytest

from wsss_core.config import ConfigError, load_config, read_yaml
from wsss_core.plan.plan import Plan
from wsss_core.plan.sweeps import plan_sweeps, short_names

REPOSITORY = Path(__file__).parents[2]
DEMO = read_yaml(REPOSITORY / "config.yaml")
READY = REPOSITORY / "configs" / "creatures-advcam-sweep.yaml"


def planned(fields, experiment="advcam", change=lambda raw: None):
    """The demo's plan and the points of a sweep called ``s``."""
    raw = copy.deepcopy(DEMO)
    raw["sweeps"] = {"s": {"experiment": experiment, "fields": fields}}
    change(raw)
    plan = Plan(load_config(raw))
    return plan, plan_sweeps(raw, plan)["s"]


def faults_of(fields, **more):
    with pytest.raises(ConfigError) as caught:
        planned(fields, **more)
    return caught.value.faults


def directories(stages):
    return {stage: str(artifact.directory) for stage, artifact in stages.items()}


def test_a_grid_has_a_named_experiment_for_each_combination():
    _, points = planned({"cams.advcam.steps": [5, 6], "cams.advcam.regularisation": [0.5, 1]})
    assert [point.name for point in points] == [
        *("s-steps=5-regularisation=0.5", "s-steps=5-regularisation=1"),
        *("s-steps=6-regularisation=0.5", "s-steps=6-regularisation=1"),
    ]
    assert points[0].values == {"cams.advcam.steps": 5, "cams.advcam.regularisation": 0.5}
    assert points[0].plan.config.cams["advcam"].regularisation == 0.5


def test_a_point_that_is_the_experiment_itself_shares_all_its_artifacts():
    plan, points = planned({"cams.advcam.steps": [5, 4]})
    assert directories(points[1].stages) == directories(plan.experiments["advcam"])
    assert all(points[1].stages[stage] is artifact for stage, artifact in plan.experiments["advcam"].items())


def test_a_value_written_into_the_file_later_finds_what_the_sweep_made():
    _, points = planned({"cams.advcam.steps": [5, 6]})
    raw = copy.deepcopy(DEMO)
    raw["cams"]["advcam"]["steps"] = 5
    later = Plan(load_config(raw)).experiments["advcam"]
    assert directories(points[0].stages) == directories(later)


@pytest.mark.parametrize(
    ("field", "values", "experiment", "first_changed"),
    [
        ("backbones.small.pretext.images", [64, 128], "advcam", "classifier"),
        ("classifiers.ordinary.optimisation.epochs", [1, 2], "advcam", "classifier"),
        ("classifiers.ordinary.optimisation.seed", [1, 2], "cgnet", "classifier"),  # what CGNet starts from
        ("cams.advcam.classifier", ["aeft", "cgnet"], "advcam", "classifier"),
        ("cams.advcam.steps", [1, 2], "advcam", "cams"),
        ("affinities.irn.labels.foreground.alpha", [4, 8], "advcam", "affinity_labels"),
        ("affinities.irn.walk.beta", [4, 8], "advcam", "walked_cams"),
        ("experiments.advcam.affinity", ["affinitynet", "irn"], "advcam", "affinity_labels"),
        ("segmenters.deeplab.optimisation.epochs", [1, 2], "full", "segmenter"),
        ("segmenters.deeplab.prediction.crf", [None, {"iterations": 3}], "advcam", "predictions"),
    ],
)
def test_any_field_of_any_variant_changes_what_lies_downstream_and_nothing_else(
    field, values, experiment, first_changed
):
    def of_one_kind(raw):
        for affinity in ("affinitynet", "irn"):
            raw["affinities"][affinity]["labels"] = {"background": {"alpha": 32}, "foreground": {"alpha": 2}}

    _, (one, other) = planned({field: values}, experiment, of_one_kind)
    upstream = ["classifier", "cams", "affinity_labels", "affinity", "walked_cams", "pseudo_labels"]
    upstream += ["segmenter", "predictions"]
    reached = [stage for stage in upstream if stage in one.stages]
    differ = [one.stages[stage].digest != other.stages[stage].digest for stage in reached]
    assert differ == [stage in reached[reached.index(first_changed) :] for stage in reached]


def test_a_variant_that_two_stages_use_changes_in_both():
    _, (one, other) = planned({"classifiers.ordinary.optimisation.epochs": [1, 2]})
    for point in (one, other):
        assert point.stages["affinity"].upstream["initial"] is point.stages["classifier"]
        assert point.stages["segmenter"].upstream["initial"] is point.stages["classifier"]


def test_one_of_two_keys_that_exclude_each_other_takes_the_other_away():
    field = "affinities.irn.pseudo_labels.background.walked_alpha"
    _, points = planned({field: [4, 8]})
    background = points[0].plan.config.affinities["irn"].pseudo_labels.background
    assert background.walked_alpha == 4 and background.times_seed_threshold is None


def test_a_swept_threshold_leaves_the_maps_alone():
    plan, points = planned({"cams.advcam.threshold": [0.3, {"best_on": "train"}]}, change=_seeds_only)
    assert all(point.stages["cams"] is plan.experiments["advcam"]["cams"] for point in points)
    assert [point.name for point in points] == ["s-threshold=0.3", "s-threshold@2"]


def _seeds_only(raw):
    raw["experiments"]["advcam"] = {"cams": "advcam"}


def test_variants_that_extend_the_swept_one_follow_as_in_the_file():
    fields = {"cams.advcam.step_size": [0.1, 0.3]}
    with pytest.raises(ConfigError, match=r"does not use it, but 'cams\.advcam_cgnet'"):
        planned(fields, "advcam_cgnet", lambda raw: raw["experiments"].update(advcam_cgnet={"cams": "advcam_cgnet"}))
    fields = {"classifiers.ordinary.optimisation.learning_rate": [0.001, 0.002]}

    def both(raw):
        raw["classifiers"]["again"] = {"extends": "ordinary"}
        raw["cams"]["advcam"]["classifier"] = "again"

    _, points = planned(fields, change=both)  # affinity and segmenter start from 'ordinary' itself
    rates = [point.plan.config.classifiers["again"].optimisation.learning_rate for point in points]
    assert rates == [0.001, 0.002]


@pytest.mark.parametrize(
    ("fields", "reported"),
    [
        ({"cam.advcam.steps": [1, 2]}, "sweeps.s.fields.cam.advcam.steps: no section of variants: 'cam'; did you mean"),
        ({"runtime.shards": [1, 2]}, "sweeps.s.fields.runtime.shards: no section of variants: 'runtime'"),
        ({"cams.advcan.steps": [1, 2]}, "sweeps.s.fields.cams.advcan.steps: no such variant in 'cams': 'advcan'; did"),
        (
            {"cams.advcam": [1, 2]},
            "sweeps.s.fields.cams.advcam: is not the key of a setting; write '<section>.<variant>.",
        ),
        ({"cams.advcam.extends": ["cam", "x"]}, "sweeps.s.fields.cams.advcam.extends: is not the key of a setting"),
        (
            {"cams.advcam.step": [1, 2]},
            "sweeps.s.fields.cams.advcam.step: unknown key: 'step'; did you mean 'steps'? allowed: ",
        ),
        (
            {"affinities.irn.labels.foreground.alfa": [1, 2]},
            "sweeps.s.fields.affinities.irn.labels.foreground.alfa: unknown key: 'alfa'; did you mean 'alpha'?",
        ),
        (
            {"cams.advcam.steps": [6, "many"]},
            "sweeps.s.fields.cams.advcam.steps: must be a whole number, not 'many'",
        ),
        (
            {"cams.advcam.steps": [6, 0]},
            "sweeps.s.fields.cams.advcam.steps: should be greater than or equal to 1, not 0",
        ),
        (
            {"cams.advcam.classifier": ["ordinary", "cgnit"]},
            "sweeps.s.fields.cams.advcam.classifier: no such variant in 'classifiers': 'cgnit'; did you mean 'cgnet'?",
        ),
        ({"cams.advcam.steps": [6]}, "sweeps.s.fields.cams.advcam.steps: needs two or more values, all different"),
        ({"cams.advcam.steps": [6, 7, 6]}, "sweeps.s.fields.cams.advcam.steps: needs two or more values, all diff"),
        (
            {"cams.cgnet.flip": [True, False]},
            "sweeps.s.fields.cams.cgnet.flip: experiment 'advcam' does not use it, but 'cams.advcam'",
        ),
        (
            {"cams.advcam.steps": [6, 6.0]},
            "sweeps.s: 's-steps=6' and 's-steps=6.0' are the same; nothing that the experiment makes depends on the",
        ),
        (
            {"cams.advcam.scales": [[1.0], 1, [1.0, 1.5]]},
            "sweeps.s.fields.cams.advcam.scales: must be a list, such as [a, b], not 1",
        ),
    ],
    ids=str,
)
def test_a_fault_is_reported_once_with_its_key_and_what_is_allowed(fields, reported):
    (fault,) = faults_of(fields)
    assert fault.startswith(reported)


def test_a_fault_of_several_keys_together_is_reported_with_their_values():
    (fault,) = faults_of({"cams.seenet.low_threshold": [0.1, 0.75]}, experiment="seenet")
    assert fault == "sweeps.s: with cams.seenet.low_threshold: 0.75: cams.seenet: 'low_threshold' must be below " + (
        "'high_threshold'"
    )


@pytest.mark.parametrize(
    ("sweep", "reported"),
    [
        ({"experiment": "advcan", "fields": {"cams.advcam.steps": [1, 2]}}, "sweeps.s.experiment: no such experiment"),
        ({"fields": {"cams.advcam.steps": [1, 2]}}, "sweeps.s.experiment: is missing"),
        ({"experiment": "advcam", "fields": {}}, "sweeps.s.fields: "),
        ({"experiment": "advcam", "field": {}}, "sweeps.s.field: unknown key: 'field'; did you mean 'fields'?"),
    ],
    ids=str,
)
def test_a_sweep_that_is_none_is_reported(sweep, reported):
    faults = faults_of({}, change=lambda raw: raw.update(sweeps={"s": sweep}))
    assert any(fault.startswith(reported) for fault in faults)


def test_a_sweeps_name_is_a_word():
    def rename(raw):
        raw["sweeps"] = {"a-b": raw["sweeps"]["s"]}

    assert faults_of({"cams.advcam.steps": [1, 2]}, change=rename) == [
        "sweeps.a-b: a name is made of letters, digits and '_'"
    ]


def test_keys_are_as_short_as_distinguishes_them():
    assert short_names(["a.b.steps", "a.b.labels.foreground.alpha", "a.b.labels.background.alpha"]) == {
        "a.b.steps": "steps",
        "a.b.labels.foreground.alpha": "foreground.alpha",
        "a.b.labels.background.alpha": "background.alpha",
    }


def test_the_ready_sweep_shares_the_demos_classifier_and_maps():
    raw = read_yaml(READY)
    plan = Plan(load_config(raw))
    points = plan_sweeps(raw, plan)["advcam_steps"]
    demo = Plan(load_config(DEMO)).experiments["advcam"]
    assert len(points) == 9
    assert {str(point.stages["classifier"].directory) for point in points} == {str(demo["classifier"].directory)}
    assert str(demo["cams"].directory) in {str(point.stages["cams"].directory) for point in points}
