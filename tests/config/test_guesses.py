import copy

import pytest

from tests.plan.shipped_plans import REPOSITORY, shipped_configurations, shipped_content
from wsss_core.config import ConfigError, load_config, read_yaml
from wsss_core.config.guesses import guesses_of
from wsss_core.config.references import used_variants
from wsss_core.config.refinement import LearnedAffinity
from wsss_core.plan.plan import Plan

DEMO = read_yaml(REPOSITORY / "config.yaml")


def guessed_in(config, experiment):
    return guesses_of({(s, name): getattr(config, s)[name] for s, name in used_variants(config, experiment)})


def with_guesses(*keys):
    raw = copy.deepcopy(DEMO)
    raw["segmenters"]["deeplab"]["guessed"] = list(keys)
    return raw


def test_guesses_of_all_variants_that_an_experiment_leads_to():
    raw = with_guesses("optimisation.epochs", "augmentation", "prediction.scales")
    raw["classifiers"]["ordinary"]["guessed"] = ["optimisation.batch_size"]
    raw["cams"]["advcam"]["guessed"] = ["steps"]
    config = load_config(raw)
    segmenter, classifier = config.segmenters["deeplab"], config.classifiers["ordinary"]
    of_segmenter = [
        "segmenters.deeplab.augmentation",
        f"segmenters.deeplab.optimisation.epochs: {segmenter.optimisation.epochs}",
        f"segmenters.deeplab.prediction.scales: {list(segmenter.prediction.scales)}",
    ]
    of_classifier = f"classifiers.ordinary.optimisation.batch_size: {classifier.optimisation.batch_size}"
    assert guessed_in(config, "cam") == [of_classifier, *of_segmenter]
    of_maps = f"cams.advcam.steps: {config.cams['advcam'].steps}"
    assert guessed_in(config, "advcam") == [of_maps, of_classifier, *of_segmenter]


def test_nothing_is_made_again_for_a_guess():
    plans = [Plan(load_config(raw)) for raw in (DEMO, with_guesses("optimisation"))]
    names = [{artifact.name for artifact in plan.artifacts()} for plan in plans]
    assert names[0] == names[1]


@pytest.mark.parametrize("key", ["optimisation.epoch", "epochs", "guessed", "optimisation.epochs.more", ""])
def test_a_guess_is_of_a_setting_that_there_is(key):
    with pytest.raises(ConfigError) as caught:
        load_config(with_guesses(key))
    (fault,) = caught.value.faults
    assert fault.startswith(f"segmenters.deeplab: 'guessed' names '{key}', which is no setting here;")


@pytest.mark.parametrize(
    "file", [f for f in shipped_configurations() if f.stem.startswith("coco14")], ids=lambda f: f.stem
)
def test_schedules_of_coco_are_marked_as_guesses(file):
    config = load_config(shipped_content(file))
    assert config.experiments
    for name, experiment in config.experiments.items():
        guessed = " ".join(guessed_in(config, name))
        classifier = config.cams[experiment.cams].classifier
        if config.classifiers[classifier].optimisation.epochs > 0:  # else it is imported
            assert f"classifiers.{classifier}.optimisation.epochs" in guessed
        if isinstance(config.affinities[experiment.affinity], LearnedAffinity):
            assert f"affinities.{experiment.affinity}.optimisation.epochs" in guessed
        assert f"segmenters.{experiment.segmenter}.optimisation" in guessed


MARKED = {
    "coco14-clipes": ["cams.clipes.threshold", "classifiers.clip.background", "classifiers.clip.descriptions"],
    "coco14-mctformer": ["affinities.affinitynet.labels", "cams.mctformer.threshold"],
    "voc12-mctformer": ["cams.mctformer.threshold", "segmenters.deeplab.optimisation"],
    "voc12-clipes": ["cams.clipes.threshold"],
    "voc12-seenet": [
        "affinities.saliency.pseudo_labels.background.saliency.attention_weight",
        "segmenters.deeplab_resnet101.optimisation",
    ],
    "voc12-advcam-semi": ["segmenters.consistent.consistency", "segmenters.consistent.optimisation"],
}


@pytest.mark.parametrize("recipe", MARKED)
def test_what_a_recipe_chose_itself_is_marked_as_a_guess(recipe):
    config = load_config(shipped_content(REPOSITORY / "configs" / f"{recipe}.yaml"))
    guessed = {guess.partition(":")[0] for name in config.experiments for guess in guessed_in(config, name)}
    assert guessed >= set(MARKED[recipe])
