"""The papers' ablations: files that are laid over a recipe."""

import pytest

from tests.plan.shipped_plans import REPOSITORY, shipped_content
from wsss_core.config import load_config

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
    }
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
}
"""By ablation, the settings of the classifier in which it differs from the whole method."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_published_seeds_are_the_papers(file):
    experiments = load_config(shipped_content(file)).experiments
    seeds = {name: found.published.seed for name, found in experiments.items() if found.published}
    assert seeds == SEEDS[file.stem]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_ablation_changes_what_its_name_says(file):
    config = load_config(shipped_content(file))
    (whole,) = set(config.classifiers) - set(TERMS)
    for name, settings in config.classifiers.items():
        pairs = [settings.model_dump(), config.classifiers[whole].model_dump()]
        differing = {key for key in pairs[0].keys() | pairs[1].keys() if pairs[0].get(key) != pairs[1].get(key)}
        assert differing == TERMS.get(name, set())
