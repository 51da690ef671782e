"""AEFT against the authors' code; tolerances of ``tests/golden/README.md``."""

from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.parity.cases import Case
from tests.parity.imported import (
    AEFT_NAMES,
    Imported,
    check_norms,
    check_step,
    largest_difference,
    ready_to_train,
    record,
)
from wsss_core.cams.multiscale import multiscale_class_maps
from wsss_core.classifiers import aeft
from wsss_core.classifiers.aeft import AeftObjective, negatives
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.classifiers import AeftClassifier
from wsss_core.datasets.transforms import normalise
from wsss_core.networks.classifier_files import load_classifier

pytestmark = pytest.mark.xdist_group("aeft")

MAPS, LOSSES, GRADIENTS, INFERENCE = 2e-5, 1e-5, 5e-4, 5e-5


def images_of(case: Case) -> Tensor:
    return torch.stack([normalise(image) for image in case["images"]])


def settings_of(case: Case) -> AeftClassifier:
    warmup = int(case["T"])
    return AeftClassifier(backbone="b", warmup_epochs=warmup, optimisation={"epochs": max(40, warmup + 1)})


def partners_of(case: Case) -> list[int]:
    return negatives(case.tensor("labels"), Random(int(case["python_random_seed"])))


@pytest.mark.golden("aeft*.npz")
def test_negatives(case: Case):
    assert partners_of(case) == case["n_idx"].tolist()


@pytest.mark.golden("aeft*.npz")
def test_a_step_with_triplets(case: Case, imported: Imported, monkeypatch):
    network, settings = ready_to_train(imported("aeft")), settings_of(case)
    objective = AeftObjective(network, settings, None)
    labels, partners = case.tensor("labels"), partners_of(case)
    assert int(case["epoch"]) >= settings.warmup_epochs
    views, regions = record(monkeypatch, network, "pool"), record(monkeypatch, aeft, "embeddings")
    losses = objective.triplet_losses(images_of(case), labels, int(case["epoch"]), partners)

    (maps, pooled, logits), (_, erased, _) = views
    anchors, everywhere = regions
    found = {
        "cam": maps,
        "gpp": pooled,
        "out": logits,
        "anchor": functional.relu(pooled).mean(dim=(2, 3)) * labels,
        "positive": functional.relu(erased).mean(dim=(2, 3)) * labels,
        "anchor_pos": anchors * labels,
        "negative_pos": (everywhere * labels)[partners],
    }
    for name, tensor in found.items():
        assert largest_difference(tensor, case.tensor(name)) <= MAPS, name

    authors = {
        "classification": "loss_cls",
        "attraction": "loss_attract",
        "repulsion": "loss_repulse",
        "loss": "loss_cls_attr_after_inplace",
    }
    assert set(losses) == set(authors)
    for name, other in authors.items():
        expected = case.get(other, np.zeros(1)).item()  # with too few hard triplets there is no repulsion
        assert losses[name].item() == pytest.approx(expected, rel=LOSSES, abs=1e-12), name

    losses["loss"].backward()
    check_norms(network, AEFT_NAMES, case.json("grad_norm_json"), GRADIENTS)
    after = case.json("param_sum_after_json")
    check_step(network, AEFT_NAMES, settings.optimisation, case, after, GRADIENTS)


@pytest.mark.golden("aeft*.npz")
def test_a_step_in_warmup(case: Case, imported: Imported):
    network, settings = ready_to_train(imported("aeft")), settings_of(case)
    objective = AeftObjective(network, settings, None)
    losses = objective.losses(images_of(case), case.tensor("labels"), settings.warmup_epochs - 1)
    assert losses["loss"].item() == pytest.approx(float(case["loss_cls"]), rel=LOSSES)
    losses["loss"].backward()
    check_norms(network, AEFT_NAMES, case.json("warmup_grad_norm_json"), GRADIENTS)
    after = case.json("warmup_param_sum_after_json")
    check_step(network, AEFT_NAMES, settings.optimisation, case, after, GRADIENTS)


@pytest.mark.golden("aeft*.npz")
def test_maps_of_an_image(case: Case, imported: Imported):
    classifier = load_classifier(imported("aeft"))
    parameters = MultiscaleCams(classifier="c", rectify="after_resizing", resize_to_multiple=1)
    image, classes = case["infer_image"], case["infer_keys"].tolist()
    _, high_res = multiscale_class_maps(classifier, image, classes, parameters).normalised()
    assert high_res is not None
    assert largest_difference(high_res, case.tensor("infer_cam")) <= INFERENCE
