"""Every objective learns from images that show no class: of those the logits fall, and nothing becomes NaN."""

import pytest
import torch

from tests.classifiers.tiny_networks import CLASSES, tiny
from wsss_core.classifiers.aeft import AeftObjective
from wsss_core.classifiers.cgnet import CgnetObjective
from wsss_core.classifiers.ordinary import OrdinaryObjective
from wsss_core.classifiers.seenet import SeenetObjective
from wsss_core.config.classifiers import AeftClassifier, CgnetClassifier, OrdinaryClassifier, SeenetClassifier
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier


def ordinary():
    return OrdinaryObjective(tiny(ClassMapClassifier, 1), OrdinaryClassifier(backbone="b"), None)


def seenet():
    return SeenetObjective(tiny(SelfErasingClassifier, 1), SeenetClassifier(backbone="b"), None)


def cgnet(**options):
    parameters = CgnetClassifier(backbone="b", ordinary="o", **options)
    return CgnetObjective(tiny(ClassMapClassifier, 1), parameters, tiny(ClassMapClassifier, 2))


def aeft(**options):
    pyramid = {"feature_channels": 7, "bins": (2, 4)}
    network = tiny(GatedPyramidClassifier, 1, **pyramid, fusion="gated", order="coarse_to_fine")
    return AeftObjective(network, AeftClassifier(backbone="b", warmup_epochs=1, **pyramid, **options), None)


OBJECTIVES = {
    "ordinary": ordinary,
    "seenet": seenet,
    "cgnet": cgnet,
    "cgnet, mask of the image": lambda: cgnet(mask_maximum="image"),
    "cgnet, all classes": lambda: cgnet(erasing="class_agnostic"),
    "aeft": aeft,
    "aeft, disjoint": lambda: aeft(negatives="disjoint", fewest_hard_triplets=1),
}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("shown", [(), (0,), (0, 2)], ids=["none", "one", "two"])
def test_logits_of_images_without_a_class_fall(name, shown):
    """Also in a batch of nothing else; ``shown`` are the images that show a class."""
    objective = OBJECTIVES[name]()
    network = objective.network
    torch.manual_seed(3)
    images = torch.randn(4, 3, 24, 20, dtype=torch.float64)
    labels = torch.zeros(4, len(CLASSES), dtype=torch.float64)
    for row in shown:
        labels[row, row % len(CLASSES)] = 1
    without = [row for row in range(4) if row not in shown]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.003)
    before = network(images).detach()
    for _ in range(30):
        losses = objective.losses(images, labels, epoch=1)
        assert all(torch.isfinite(loss) for loss in losses.values())
        optimiser.zero_grad()
        losses["loss"].backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
        optimiser.step()
    after = network(images).detach()
    cost = [torch.nn.functional.softplus(logits[without]).mean() for logits in (before, after)]
    assert cost[1] < cost[0]
