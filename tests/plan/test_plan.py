import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from wsss_core.config import ConfigError, load_config, read_yaml, stages
from wsss_core.config.stage_settings import stage_settings
from wsss_core.errors import UserError
from wsss_core.jobs.job import Job
from wsss_core.plan.descriptions import described_climb_scores, described_climbs
from wsss_core.plan.plan import Plan

SUBMITTED = {"test_images", "test_predictions", "voc_submission"}
"""Stages of the VOC server's test images; the demo has none."""
ON_DEMAND = {
    *("listed_masks", "corrected_masks", "saliency", "sam_masks", "fully_connected", "erasing", "climb_scores"),
}
"""Stages that an experiment has to ask for; the demo asks for none of them."""
STAGES = set(stages.STAGES) - SUBMITTED - ON_DEMAND
DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


def plan_of(change=lambda raw: None):
    raw = copy.deepcopy(DEMO)
    change(raw)
    return Plan(load_config(raw))


def directories(plan):
    return {str(artifact.directory) for artifact in plan.artifacts()}


def stages_that_changed(change):
    before, after = plan_of(), plan_of(change)
    return {artifact.stage for artifact in after.artifacts() if str(artifact.directory) not in directories(before)}


def test_the_plan_is_the_same_every_time():
    assert directories(plan_of()) == directories(plan_of())


def test_experiments_share_what_they_have_in_common():
    plan = plan_of()
    assert plan.experiments["cam"]["classifier"] is plan.experiments["advcam"]["classifier"]
    assert plan.experiments["cam"]["cams"] is not plan.experiments["advcam"]["cams"]
    trained = {artifact.variant for artifact in plan.artifacts("classifier")}
    assert trained == {"ordinary", "seenet", "cgnet"}


def test_a_changed_method_changes_its_maps_and_what_hangs_on_them():
    def change(raw):
        raw["cams"]["advcam"]["steps"] += 1

    changed = {a.name for a in plan_of(change).artifacts()} - {a.name for a in plan_of().artifacts()}
    assert {name.split("-")[0] for name in changed} == {"advcam"}
    assert stages_that_changed(change) == {
        *(
            "cams",
            "climb",
            "refined_seeds",
            "affinity_labels",
            "affinity",
            "walked_cams",
            "pseudo_labels",
            "segmenter",
            "predictions",
        )
    }


@pytest.mark.parametrize(
    ("keys", "value", "stages"),
    [
        (("segmenters", "deeplab", "prediction", "flip"), False, {"predictions"}),
        (
            ("affinities", "irn", "walk", "beta"),
            3,
            {"walked_cams", "pseudo_labels", "segmenter", "predictions"},
        ),
        (("affinities", "irn", "pseudo_labels", "crf"), None, {"pseudo_labels", "segmenter", "predictions"}),
        (
            ("affinities", "irn", "pseudo_labels", "background"),
            {"walked_alpha": 4},
            {"walked_cams", "pseudo_labels", "segmenter", "predictions"},
        ),
        (
            ("affinities", "irn", "pseudo_labels", "background"),
            {"threshold": {"best_on": "train"}},
            {"threshold", "pseudo_labels", "segmenter", "predictions"},
        ),
        (
            ("cams", "cam", "threshold"),
            {"best_on": "subset", "subset": "held_out.txt"},
            STAGES - {"generated", "dataset", "masks", "backbone", "classifier", "cams", "climb"},
        ),
        (
            ("cams", "cam", "threshold"),
            {"rule": "mean_and_deviation"},
            STAGES - {"generated", "dataset", "masks", "backbone", "classifier", "cams", "climb"},
        ),
        (
            ("cams", "cam", "threshold"),
            0.5,
            STAGES - {"generated", "dataset", "masks", "backbone", "classifier", "cams", "climb", "threshold"},
        ),
        (("dataset", "generate", "seed"), 7, STAGES - {"backbone", "threshold"}),
        (("dataset", "root"), "elsewhere", STAGES - {"backbone", "generated", "threshold"}),
        (("runtime", "shards"), 5, set()),
        (("runtime", "device"), "auto", set()),
        (("resources",), {"predict": {"mem_mb": 999}}, set()),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_changed_value_reaches_exactly_the_stages_that_depend_on_it(keys, value, stages):
    def change(raw):
        if keys == ("dataset", "root"):
            raw["dataset"] = {"name": "creatures", "root": value}
            return
        block = raw
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = value

    assert stages_that_changed(change) == stages


def test_without_long_side_artifacts_keep_the_digests_from_before_there_was_such_a_key():
    def voc(raw):
        raw["dataset"] = {"name": "voc12", "root": "voc", "splits": {"test": "test"}}

    assert plan_of().dataset.name == "voc-b967ec97c1"  # revision 2 of the drawings, 450 images
    plan = plan_of(voc)
    assert plan.dataset.name == "voc-d2bb0e3ee0"
    assert {a.name for a in plan.artifacts("test_images")} == {"voc-3f40b98f68"}
    # All but what knows no data set's images.
    assert stages_that_changed(lambda raw: raw["dataset"].update(long_side=64)) == STAGES - {
        *("backbone", "generated", "threshold")
    }


def test_only_other_negatives_than_the_authors_change_digests():
    def negatives(choice):
        return stages_that_changed(lambda raw: raw["dataset"].update(negatives=choice))

    assert negatives("none") == set()
    assert negatives("listed") == STAGES - {*("backbone", "generated", "threshold")}


def test_climbs_are_recorded_of_advcams_variants_and_upstream_of_nothing():
    plan = plan_of()
    assert set(plan.climbs) == {"advcam"} and plan.climbs["advcam"].parameters["images"] == 3
    assert all(plan.climbs["advcam"] not in a.upstream.values() for a in plan.artifacts())
    assert stages_that_changed(lambda raw: raw.update(report={"climbs": 5})) == {"climb"}
    assert stages_that_changed(lambda raw: raw.update(report={"images": 5})) == set()
    assert plan_of(lambda raw: raw.update(report={"climbs": 0})).climbs == {}


def test_balanced_maps_are_made_from_the_same_drawn_ones():
    def balance(value):
        return lambda raw: raw["cams"]["advcam"].update(balance_classes=value)

    plain, balanced = plan_of(), plan_of(balance(True))
    cams = balanced.experiments["advcam"]["cams"]
    assert cams.upstream["drawn"] == plain.experiments["advcam"]["cams"] != cams
    assert balanced.climbs == plain.climbs
    assert stages_that_changed(balance(False)) == set()
    assert stages_that_changed(balance(True)) == STAGES - {
        *("generated", "dataset", "masks", "backbone", "classifier", "climb", "threshold")
    }


def test_a_climb_of_balanced_maps_has_a_threshold_that_is_chosen_for_the_drawn_ones():
    def planned(threshold):
        return plan_of(lambda raw: raw["cams"]["advcam"].update(balance_classes=True, threshold=threshold))

    plan = planned({"rule": "mean_and_deviation"})
    cams = plan.experiments["advcam"]["cams"]
    assert plan.climb_thresholds["advcam"].upstream == {"maps": cams.upstream["drawn"]}
    assert plan.experiments["advcam"]["seed_threshold"].upstream == {"maps": cams}
    (climb,) = described_climbs(SimpleNamespace(plan=plan, config=plan.config)).values()
    assert climb["threshold"]["file"] == plan.climb_thresholds["advcam"].path("threshold.json")
    assert planned(0.4).climb_thresholds == {} and plan_of().climb_thresholds == {}


def test_scores_after_every_step_are_of_the_drawn_maps():
    def score(**more):
        return plan_of(lambda raw: raw["cams"]["advcam"].update(score_every_step=True, **more)).climb_scores["advcam"]

    assert score(balance_classes=True) == score()


def test_seeds_are_scored_after_every_step_where_asked_and_no_map_changes():
    def change(raw):
        raw["cams"]["advcam"]["score_every_step"] = True

    assert plan_of().climb_scores == {} and stages_that_changed(change) == {"climb_scores"}
    scored = plan_of(change).climb_scores["advcam"]
    assert set(scored.upstream) == {"dataset", "classifier", "masks"}
    assert stage_settings("cams", scored.parameters["cams"]).steps == DEMO["cams"]["advcam"]["steps"]


def test_two_experiments_with_the_same_climb_are_one_line():
    def change(raw):
        raw["cams"]["advcam"]["score_every_step"] = True
        raw["experiments"]["again"] = {"cams": "advcam"}

    plan = plan_of(change)
    assert {"advcam", "again"} <= plan.climb_scores.keys()
    rules = SimpleNamespace(plan=plan, config=plan.config)
    assert list(described_climb_scores(rules)) == ["advcam"]


def test_erasings_are_of_every_classifier_that_maps_come_from_and_of_cgnets_ordinary_one():
    def change(raw):
        raw["report"] = {"erasings": 2}

    erasings = plan_of(change).erasings
    assert list(erasings) == ["ordinary", "seenet", "cgnet"]
    assert all(erasing.parameters == {"images": 2} for erasing in erasings.values())
    assert plan_of().erasings == {} and stages_that_changed(change) == {"erasing"}


def test_a_classifier_without_class_maps_has_nothing_to_erase():
    raw = read_yaml(Path(__file__).parents[2] / "configs" / "voc12-clipes.yaml")
    raw["report"] = {"erasings": 2}
    plan = Plan(load_config(raw))
    assert plan.experiments["clipes"]["classifier"].variant == "clip" and plan.erasings == {}


def test_a_sweeps_points_record_no_climbs():
    plan = plan_of()
    before = len(plan.artifacts("climb"))
    raw = copy.deepcopy(DEMO)
    raw["cams"]["advcam"]["steps"] = 3
    Plan(load_config(raw), shared_with=plan)
    assert len(plan.artifacts("climb")) == before


def test_a_renamed_experiment_keeps_its_artifacts():
    def change(raw):
        raw["experiments"]["other_name"] = raw["experiments"].pop("advcam")

    assert stages_that_changed(change) == set()


def test_variants_that_say_the_same_are_one_artifact():
    def change(raw):
        raw["cams"]["again"] = {"extends": "advcam"}
        raw["experiments"]["again"] = {**raw["experiments"]["advcam"], "cams": "again"}

    assert directories(plan_of(change)) == directories(plan_of())


def test_a_revision_is_part_of_the_identity(monkeypatch):
    before = plan_of()
    monkeypatch.setitem(stages.STAGES, "affinity", replace(stages.STAGES["affinity"], revision=99))
    after = plan_of()
    assert before.experiments["cam"]["affinity_labels"].name == after.experiments["cam"]["affinity_labels"].name
    assert before.experiments["cam"]["affinity"].name != after.experiments["cam"]["affinity"].name
    assert before.experiments["cam"]["predictions"].name != after.experiments["cam"]["predictions"].name


def test_the_identity_names_parameters_and_upstream():
    cams = plan_of().experiments["advcam"]["cams"]
    assert cams.identity["parameters"]["steps"] == DEMO["cams"]["advcam"]["steps"]
    assert set(cams.identity["upstream"]) == {"dataset", "classifier"}
    assert cams.directory == Path("results/creatures/cams") / f"advcam-{cams.digest}"


def test_what_jobs_record_does_not_depend_on_how_the_results_folder_is_spelled():
    def elsewhere(raw):
        raw.setdefault("runtime", {})["results"] = "/shared/team/results"

    one, other = (plan.experiments["advcam"]["cams"] for plan in (plan_of(), plan_of(elsewhere)))
    jobs = [Job(SimpleNamespace(params={"identity": artifact.identity})) for artifact in (one, other)]
    assert one.directory != other.directory and jobs[0].identity == jobs[1].identity
    assert jobs[0].identity["upstream"]["dataset"] == "creatures/dataset/" + one.upstream["dataset"].name


def test_an_unknown_artifact_is_no_silent_none():
    with pytest.raises(KeyError):
        plan_of().artifact("cams", "advcam-0000000000")


def test_a_classifier_needs_what_it_starts_from_and_is_judged_by():
    def change(raw):
        raw["experiments"]["advcam_cgnet"] = {"cams": "advcam_cgnet"}

    plan = plan_of(change)
    cgnet = plan.experiments["cgnet"]["classifier"]
    assert cgnet.upstream["start_from"] is cgnet.upstream["ordinary"]
    assert cgnet.upstream["ordinary"].variant == "ordinary"
    assert "backbone" not in cgnet.upstream and cgnet.parameters["trunk"]["network"] == "resnet_small"
    assert plan.experiments["advcam_cgnet"]["classifier"] is cgnet


def test_an_imported_classifier_needs_no_backbone_weights():
    def change(raw):
        raw["classifiers"]["ordinary"]["weights"] = "mine.safetensors"
        raw["classifiers"]["ordinary"]["optimisation"]["epochs"] = 0
        raw["experiments"] = {"cam": {"cams": "cam"}}

    plan = plan_of(change)
    assert plan.experiments["cam"]["classifier"].upstream == {"dataset": plan.dataset}
    assert plan.artifacts("backbone") == []


def test_an_imported_segmenter_needs_neither_backbone_nor_labels():
    def change(raw):
        raw["backbones"]["trunk"] = {"network": "resnet101", "output_stride": 8, "dilated": True, "pixels": "caffe"}
        raw["backbones"]["trunk"]["weights"] = "scratch"
        raw["segmenters"]["authors"] = {
            "network": "deeplabv2",
            "backbone": "trunk",
            "weights": "authors.safetensors",
            "optimisation": {"epochs": 0},
        }
        raw["experiments"] = {
            "imported": {"labels": "masks", "segmenter": "authors"},
            "weak": {"cams": "cam", "affinity": "irn", "segmenter": "authors"},
        }

    plan = plan_of(change)
    segmenter = plan.experiments["imported"]["segmenter"]
    assert segmenter.upstream == {"dataset": plan.dataset}
    assert plan.experiments["weak"]["segmenter"] is segmenter
    assert {artifact.variant for artifact in plan.artifacts("backbone")} == {"small"}


def test_settings_come_back_from_an_artifacts_parameters():
    plan = plan_of()
    for stage, section in (("classifier", "classifiers"), ("cams", "cams"), ("segmenter", "segmenters")):
        for artifact in plan.artifacts(stage):
            rebuilt = stage_settings(section, artifact.parameters).model_dump(mode="json")
            assert (
                rebuilt.items() >= {key: value for key, value in artifact.parameters.items() if key != "trunk"}.items()
            )


def test_pseudo_labels_without_affinity_come_from_the_class_maps():
    def change(raw):
        raw["affinities"]["only_crf"] = {"method": "none"}
        raw["experiments"]["only_crf"] = {"cams": "cam", "affinity": "only_crf"}

    stages = plan_of(change).experiments["only_crf"]
    assert stages.keys() == {"classifier", "cams", "pseudo_labels"}
    assert stages["pseudo_labels"].upstream["maps"] is stages["cams"]
    assert stages["pseudo_labels"].parameters["seed_threshold"] == DEMO["cams"]["cam"]["threshold"]


def test_a_chosen_threshold_has_masks_upstream_and_a_fixed_one_has_none():
    def change(raw):
        raw["cams"]["cam"]["threshold"] = {"best_on": "train"}
        raw["affinities"]["irn"]["labels"]["foreground"] = {"times_seed_threshold": 1}

    stages = plan_of(change).experiments["cam"]
    assert stages["affinity_labels"].upstream["seed_threshold"].upstream.keys() == {"maps", "masks"}
    assert stages["affinity_labels"].parameters["seed_threshold"] is None
    assert plan_of().artifacts("threshold") == []


def test_an_imported_affinity_that_is_not_trained_needs_no_labels():
    def change(raw):
        raw["affinities"]["irn"]["weights"] = "mine.safetensors"
        raw["affinities"]["irn"]["optimisation"]["epochs"] = 0

    plan = plan_of(change)
    stages = plan.experiments["cam"]
    assert stages["affinity"].upstream == {"dataset": plan.dataset} and "affinity_labels" not in stages
    assert stages["walked_cams"].upstream["affinity"] is stages["affinity"] and "refined_seeds" in stages


def test_what_is_only_scored_changes_no_training():
    def with_own_thresholds(raw):
        labels = raw["affinities"]["irn"]["labels"]
        labels["foreground"], labels["background"] = {"threshold": 0.3}, {"threshold": 0.1}
        raw["affinities"]["irn"]["pseudo_labels"]["background"] = {"threshold": 0.3}

    def with_another_seed(raw):
        with_own_thresholds(raw)
        raw["cams"]["cam"]["threshold"] = {"best_on": "train"}
        raw["affinities"]["irn"]["labels"]["refined_seed"] = {"times_seed_threshold": 0.9}

    before, after = (plan_of(change).experiments["cam"] for change in (with_own_thresholds, with_another_seed))
    changed = {stage for stage in after if stage not in before or before[stage].name != after[stage].name}
    assert changed == {"seed_threshold", "refined_seeds"}


def plan_with(**more):
    """The plan of a data set with a list of test images."""

    def change(raw):
        raw["dataset"] = {"name": "voc12", "root": "voc", **more}

    return plan_of(change)


def test_a_list_of_test_images_changes_nothing_that_was_there():
    before, after = plan_with(), plan_with(splits={"test": "test"})
    assert directories(before) < directories(after)
    assert before.experiments == after.experiments
    assert {a.stage for a in after.artifacts() if str(a.directory) not in directories(before)} == SUBMITTED


def test_every_experiment_with_a_segmenter_is_submitted():
    plan = plan_with(splits={"test": "test"})
    submitted = plan.voc_submissions()
    assert submitted.keys() == {name for name, item in plan.config.experiments.items() if item.segmenter}
    archive = submitted["cam"]
    assert archive.parameters == {"competition": "comp6"}
    assert archive.upstream["predictions"].upstream["segmenter"] is plan.experiments["cam"]["segmenter"]
    assert archive.upstream["predictions"].upstream["dataset"] is archive.upstream["dataset"]
    assert archive.upstream["dataset"].parameters["splits"]["test"] == "test"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [({}, "splits.test: is missing"), ({"splits": {"test": "test"}, "classes": ["cat"]}, "VOC's twenty classes")],
)
def test_what_the_voc_server_cannot_score(dataset, message):
    with pytest.raises(UserError, match=message):
        plan_with(**dataset).voc_submissions()


def test_what_saw_other_images_is_no_comp5():
    def change(raw, **backbone):
        raw["dataset"] = {"name": "voc12", "root": "voc", "splits": {"test": "test"}}
        raw["backbones"]["small"] = {"network": "resnet18", "output_stride": 8, **backbone}
        raw["segmenters"]["deeplab"] = {"network": "deeplab", "backbone": "small"}
        raw["experiments"] = {"full": {"labels": "masks", "segmenter": "deeplab", "competition": "comp5"}}

    with pytest.raises(
        UserError, match=r"experiments.full.competition: comp5 .* go back to ImageNet .torchvision.; use comp6"
    ):
        plan_of(change).voc_submissions()
    (archive,) = plan_of(lambda raw: change(raw, weights="scratch")).voc_submissions().values()
    assert archive.name.startswith("masks-deeplab-comp5-")


def test_maps_alone_cannot_be_submitted():
    def change(raw):
        raw["dataset"] = {"name": "voc12", "root": "voc", "splits": {"test": "test"}}
        raw["experiments"] = {"cam": {"cams": "cam"}}

    with pytest.raises(UserError, match="none has a 'segmenter'"):
        plan_of(change).voc_submissions()


def test_masks_of_some_images_change_the_segmenter_alone():
    def change(raw, masks_of="list.txt"):
        raw["experiments"]["semi"] = {**raw["experiments"]["cam"], "masks_of": masks_of}
        raw["experiments"]["listed"] = {"labels": "masks", "segmenter": "deeplab", "masks_of": "list.txt"}

    stages = plan_of(change).experiments
    weak, semi, listed = (stages[name] for name in ("cam", "semi", "listed"))
    assert {stage for stage in semi if semi[stage] is not weak.get(stage)} == {
        *("listed_masks", "segmenter", "predictions")
    }
    assert semi["segmenter"].variant == "cam-irn-some_masks-deeplab"
    assert semi["segmenter"].upstream["labels"] is weak["pseudo_labels"]
    assert semi["segmenter"].upstream["listed_masks"] is listed["listed_masks"] is semi["listed_masks"]
    assert listed["segmenter"].variant == "some_masks-deeplab" and "labels" not in listed["segmenter"].upstream
    assert "masks_of" not in weak["segmenter"].parameters
    other = plan_of(lambda raw: change(raw, {"file": "list.txt", "share": 0.5})).experiments["semi"]
    assert other["listed_masks"].name == semi["listed_masks"].name
    assert other["segmenter"].name != semi["segmenter"].name
    rebuilt = stage_settings("segmenters", semi["segmenter"].parameters)
    assert rebuilt == stage_settings("segmenters", weak["segmenter"].parameters)


def test_a_threshold_by_a_rule_depends_on_no_mask():
    raw = copy.deepcopy(DEMO)
    raw["cams"]["cam"]["threshold"] = {"rule": "mean_and_deviation"}
    (threshold,) = Plan(load_config(raw)).artifacts("threshold")
    assert set(threshold.upstream) == {"maps"}


def test_corrected_masks_change_the_segmenter_alone():
    def change(raw):
        raw["experiments"]["corrected"] = {**raw["experiments"]["cam"], "masks_of": {"folder": "corrected"}}

    plan = plan_of(change)
    weak, corrected = plan.experiments["cam"], plan.experiments["corrected"]
    assert {stage for stage, artifact in corrected.items() if artifact is not weak.get(stage)} == {
        *("corrected_masks", "segmenter", "predictions")
    }
    assert corrected["segmenter"].parameters["masks_of"] == {"folder": "corrected", "share": None, "pseudo_weight": 1.0}
    assert dict(corrected["corrected_masks"].upstream) == {"dataset": plan.dataset}  # no mask of the data set
    assert "listed_masks" not in corrected["segmenter"].upstream


def with_saliency(raw, folder="saliency", background=None):
    raw["dataset"]["saliency"] = folder
    raw["affinities"]["saliency"] = {
        "method": "none",
        "pseudo_labels": {"background": {"saliency": background or {}}, "crf": None},
    }
    raw["experiments"]["salient"] = {**raw["experiments"]["cam"], "affinity": "saliency"}


def test_saliency_maps_change_nothing_but_labels_that_are_made_with_them():
    plan, before = plan_of(with_saliency), plan_of()
    for name, artifacts in before.experiments.items():
        assert {a.name for a in plan.experiments[name].values()} == {a.name for a in artifacts.values()}
    assert plan.dataset.name == before.dataset.name
    salient = plan.experiments["salient"]
    assert set(salient["pseudo_labels"].upstream) == {"dataset", "maps", "saliency"}
    assert salient["pseudo_labels"].upstream["maps"] is plan.experiments["cam"]["cams"]
    assert dict(plan.saliency.upstream) == {"dataset": plan.dataset}  # no mask
    assert plan_of(lambda raw: raw["dataset"].update(saliency="maps")).saliency is not None  # checked, if not used
    assert before.saliency is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda raw: with_saliency(raw, folder="others"), {"saliency", "pseudo_labels", "segmenter", "predictions"}),
        (
            lambda raw: with_saliency(raw, background={"attention_weight": 2}),
            {"pseudo_labels", "segmenter", "predictions"},
        ),
    ],
    ids=["folder", "weight"],
)
def test_other_saliency_makes_again_what_depends_on_it(change, expected):
    before, after = plan_of(with_saliency), plan_of(change)
    assert {a.stage for a in after.artifacts() if str(a.directory) not in directories(before)} == expected


def largefov_of(**settings):
    """The segmenter of an experiment with LargeFOV on VGG-16."""

    def change(raw):
        raw["backbones"]["vgg"] = {"network": "vgg16", "output_stride": 8, "dilated": True}
        trunk = settings.pop("trunk", {})
        raw["backbones"]["vgg"] |= trunk
        if "classifier" in settings:
            raw["classifiers"]["on_vgg"] = {"objective": "ordinary", "backbone": "vgg"}
        start = {} if "classifier" in settings else {"backbone": "vgg"}
        raw["segmenters"]["largefov"] = {"network": "largefov", **start, **settings}
        raw["experiments"]["large"] = {"labels": "masks", "segmenter": "largefov"}

    return plan_of(change).experiments["large"]["segmenter"]


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({}, 1024),
        ({"fully_connected": "vgg16"}, 1024),
        ({"fully_connected": "random"}, None),
        ({"channels": 512}, 512),
        ({"channels": 1000}, None),
        ({"atrous_rate": 6}, None),  # fc6's weights lie 96 pixels apart
        ({"atrous_rate": 6, "trunk": {"output_stride": 16}}, 1024),
        ({"atrous_rate": 6, "fully_connected": "vgg16"}, 1024),
        ({"trunk": {"weights": "scratch"}}, None),
        ({"classifier": "on_vgg"}, None),  # a trunk that has learned something else since
        ({"classifier": "on_vgg", "fully_connected": "vgg16"}, 1024),
    ],
    ids=str,
)
def test_largefov_starts_from_vgg16s_fully_connected_layers_as_the_paper_does(settings, channels):
    segmenter = largefov_of(**settings)
    assert "fully_connected" not in segmenter.parameters
    if channels is None:
        assert "fully_connected" not in segmenter.upstream
    else:
        layers = segmenter.upstream["fully_connected"]
        assert dict(layers.parameters) == {"network": "vgg16", "channels": channels} and not layers.upstream


def test_said_or_by_default_it_is_the_same_segmenter_and_with_random_layers_the_one_from_before():
    assert largefov_of().name == largefov_of(fully_connected="vgg16").name
    # The digest from before there was such a key, when these layers were always random (of 450 drawings, revision 2).
    assert largefov_of(fully_connected="random").name == "masks-largefov-349a93cc3d"
    with pytest.raises(ConfigError, match=r"largefov\.fully_connected: vgg16 is for a trunk that starts from"):
        largefov_of(fully_connected="vgg16", trunk={"weights": "scratch"})
    with pytest.raises(ConfigError, match="'channels' must divide that, not be 1000"):
        largefov_of(fully_connected="vgg16", channels=1000)
    with pytest.raises(ConfigError, match="'fully_connected' is for new layers, but 'weights' has them"):
        largefov_of(fully_connected="random", weights="a.safetensors")
