"""The papers' ablations: files that are laid over a recipe."""

import pytest

from tests.plan.shipped_plans import REPOSITORY, shipped_content
from wsss_core.config import load_config, read_yaml

FILES = sorted((REPOSITORY / "configs" / "ablations").glob("*.yaml"))
SEEDS = {
    "voc12-aeft": {
        "aeft": 56.0,
        "aeft_pooling": 54.2,
        "aeft_bins_2": 49.9,
        "aeft_bins_4": 51.6,
        "aeft_bins_8": 52.9,
        "aeft_bins_16": 53.1,
        "aeft_average": 53.3,
        "aeft_fine_to_coarse": 51.3,
        "aeft_attraction": 55.0,
    },
    "voc12-cgnet": {"cgnet": 56.0},
    "voc12-seenet": {},
    "voc12-advcam-irn": {"cam": 48.3, "irn": 48.3, "advcam": 55.6},
}
"""The papers' seeds by recipe and experiment."""
TRIPLETS = {"attraction_weight", "repulsion_weight", "triplet_batch_size", "classified_images"}
TERMS = {
    "aeft_pooling": TRIPLETS,
    "aeft_gap": {*TRIPLETS, "bins"},
    "aeft_bins_2": {*TRIPLETS, "bins"},
    "aeft_bins_4": {*TRIPLETS, "bins"},
    "aeft_bins_8": {*TRIPLETS, "bins"},
    "aeft_bins_16": {*TRIPLETS, "bins"},
    "aeft_average": {*TRIPLETS, "fusion"},
    "aeft_fine_to_coarse": {*TRIPLETS, "order"},
    "aeft_attraction": {"repulsion_weight"},
    "aeft_repulsion": {"attraction_weight"},
    "aeft_class_map": {"embedding"},
    "cgnet_class_agnostic": {"erasing"},
    "cgnet_own_maximum": {"mask_maximum"},
    "seenet_erasing": {"reverse_background", "background_branch"},
    "seenet_c_relu": {"background_branch"},
    "seenet_s_c": {"reverse_background"},
}
"""By ablation, the settings of the classifier in which it differs from the whole method."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_published_seeds_are_the_papers(file):
    experiments = load_config(shipped_content(file)).experiments
    seeds = {name: found.published.seed for name, found in experiments.items() if found.published}
    seeds = {name: seed for name, seed in seeds.items() if seed is not None}
    assert seeds == SEEDS[file.stem]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_ablation_changes_what_its_name_says(file):
    classifiers = load_config(shipped_content(file)).classifiers
    for name in set(classifiers) & set(TERMS):
        own, whole = (classifiers[other].model_dump() for other in (name, name.split("_")[0]))
        assert {key for key in own.keys() | whole.keys() if own.get(key) != whole.get(key)} == TERMS[name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_of_ablations_changes_nothing_of_its_recipe(file):
    recipe, laid_over = (
        load_config(content) for content in (read_yaml(file.parents[1] / file.name), shipped_content(file))
    )
    for section in ("backbones", "classifiers", "cams", "affinities", "segmenters", "experiments"):
        own = getattr(recipe, section)
        assert {name: getattr(laid_over, section)[name] for name in own} == own
    assert laid_over.dataset == recipe.dataset


def test_advcams_climbs_with_and_without_regularisation_differ_in_nothing_else():
    cams = load_config(shipped_content(REPOSITORY / "configs/ablations/voc12-advcam-irn.yaml")).cams
    with_it, without = (cams[name].model_dump() for name in ("advcam_steps", "advcam_steps_unregularised"))
    assert {key for key in with_it if with_it[key] != without[key]} == {"regularisation"}
    assert with_it.keys() == without.keys() and without["regularisation"] == 0
    own = cams["advcam"].model_dump()
    assert {key for key in own if own[key] != with_it[key]} == {"steps", "score_every_step"}
