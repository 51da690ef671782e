"""A switch that takes a term out of a loss changes nothing else: batches, steps, learning rates, images seen."""

import pandas
import pytest
import torch

from tests.refinement.tiny_data import CLASSES, TRUNK, write_images, write_trunk
from wsss_core.classifiers.objective import OBJECTIVES
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.classifiers import AeftClassifier, CgnetClassifier, SeenetClassifier
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier

WHOLE = {
    "aeft": (AeftClassifier, {"warmup_epochs": 1, "triplet_batch_size": 3, "fewest_hard_triplets": 1, "bins": (2, 4)}),
    "cgnet": (CgnetClassifier, {"ordinary": "ordinary"}),
    "seenet": (SeenetClassifier, {"branch_channels": 8}),
}
WITHOUT_TRIPLETS = {"attraction_weight": 0, "repulsion_weight": 0}
SWITCHES = [
    ("aeft", {"attraction_weight": 0}),
    ("aeft", {"repulsion_weight": 0}),
    ("aeft", {"embedding": "class_map"}),
    ("aeft", {"masking": "hard"}),
    ("aeft", {"negatives": "disjoint"}),
    ("aeft", {"fusion": "average"}),
    ("aeft", {"order": "fine_to_coarse"}),
    ("aeft", {"bins": (2,)}),
    ("cgnet", {"erasing": "none"}),
    ("cgnet", {"erasing": "class_agnostic"}),
    ("cgnet", {"erasing_weight": 0, "erasing_weight_growth": 0}),
    ("cgnet", {"mask_maximum": "image"}),
    ("seenet", {"background_branch": False}),
    ("seenet", {"reverse_background": False}),
    ("seenet", {"erased_gradient": "exact"}),
]


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """What a training sees: of each step the epoch and its images, and the learning rate of each epoch."""
    index, trunk = write_images(tmp_path / "images"), write_trunk(tmp_path / "trunk.safetensors")
    ordinary = tmp_path / "ordinary.safetensors"
    save_classifier(ordinary, ClassMapClassifier(TRUNK, CLASSES))

    def train(method, **switch):
        kind, options = WHOLE[method]
        optimisation = Optimisation(optimizer="adamw", epochs=3, batch_size=1, learning_rate=1e-3, head_factor=10)
        parameters = kind(
            backbone="small", optimisation=optimisation, augmentation=Augmentation(crop=32), **{**options, **switch}
        )
        steps, objective = [], OBJECTIVES.find(method)
        losses = objective.losses

        def recorded(self, images, labels, epoch):
            steps.append((epoch, images.sum(dim=(1, 2, 3)).tolist()))
            return losses(self, images, labels, epoch)

        name = "-".join([method, *map(str, switch)])
        curve = tmp_path / name / "training.csv"
        with monkeypatch.context() as patch:
            patch.setattr(objective, "losses", recorded)
            start = StartingWeights(backbone=trunk, ordinary=ordinary)
            weights = tmp_path / name / "weights.safetensors"
            train_classifier(parameters, TRUNK, index, start, weights, curve, run=Run(device="cpu"))
        return steps, pandas.read_csv(curve)["learning_rate"].tolist()

    return train


@pytest.mark.parametrize(("method", "switch"), SWITCHES)
def test_a_switch_changes_nothing_else(seen, method, switch):
    torch.manual_seed(0)
    assert seen(method, **switch) == seen(method)


@pytest.mark.parametrize("bins", [(), (2, 4)])
def test_without_triplets_aeft_goes_on_as_in_its_warm_up(seen, bins):
    """The batch grows for the triplets; without them it would have shown most images to no loss."""
    never, _ = seen("aeft", bins=bins, **WITHOUT_TRIPLETS)
    whole, _ = seen("aeft")
    warm_up = [len(images) for epoch, images in whole if epoch == 0]
    for epoch in range(3):
        assert [len(images) for when, images in never if when == epoch] == warm_up
    assert never[: len(warm_up)] == whole[: len(warm_up)]
