"""The authors' networks, made by the recipe, as classifiers of this package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.parity.cases import Case, authors_weights
from wsss_core.config.training import Optimisation
from wsss_core.importing.authors_names import AEFT_CLASSIFIER, RESNET38_CLASSIFIER, Naming, by_beginning
from wsss_core.importing.pretrained import import_weights
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.weights import trainable
from wsss_core.training.loop import _make_optimizer

Imported = Callable[[str], Path]
"""From the name of a network in ``NETWORKS`` to its file."""

NETWORKS = {
    "irn-cam": ("irn-cam", "resnet50_cam", ""),
    "oc-cse": ("oc-cse", "resnet38_oc_cse", ""),
    "oc-cse ordinary": ("oc-cse", "resnet38_oc_cse", "cl."),
    "aeft": ("aeft", "resnet38_aeft", ""),
    "seenet": ("seenet", "seenet", ""),
    "affinitynet": ("psa", "resnet38_aff", ""),
    "irn": ("irn", "irn", ""),
}
"""By a name of our own: format of the import, key of the recipe, prefix of its seeds."""
OC_CSE_NAMES = by_beginning(RESNET38_CLASSIFIER)
AEFT_NAMES = by_beginning(AEFT_CLASSIFIER)


def import_network(network: str, folder: Path) -> Path:
    """Write the recipe's weights as the authors' checkpoint and import it; the classifier's file."""
    form, recipe, prefix = NETWORKS[network]
    checkpoint, path = folder / "checkpoint.safetensors", folder / f"{network.replace(' ', '-')}.safetensors"
    save_file(authors_weights(recipe, prefix), checkpoint)
    import_weights(form, checkpoint, path)
    checkpoint.unlink()
    return path


def ready_to_train(path: Path) -> ClassMapClassifier:
    """The classifier of a file as the authors train it; dropout is off, as in the golden cases."""
    network = load_classifier(path).requires_grad_(True)
    freeze_batch_norm(network)
    network.trunk.freeze_stem()
    return network


def record(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """The results, in a list that grows, of the calls of a function from now on."""
    function, results = getattr(owner, name), []

    def recording(*arguments: Any, **options: Any) -> Any:
        results.append(function(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(owner, name, recording)
    return results


def check_norms(
    network: nn.Module, naming: Naming, expected: dict[str, float], tolerance: float, others: bool = False
) -> None:
    """Compare the gradients' norms with those expected.

    Args:
        network: after a backward pass.
        naming: from our names to the authors'.
        expected: of all weights that have a gradient, by the authors' names.
        tolerance: relative.
        others: there may be gradients beside the expected ones.
    """
    gradients = {naming(name): weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    assert set(gradients) == set(expected) or (others and set(gradients) > set(expected))
    for name, norm in expected.items():
        found = torch.linalg.vector_norm(gradients[name], dtype=torch.float64).item()
        assert found == pytest.approx(norm, rel=tolerance), name


def check_step(
    network: ClassMapClassifier,
    naming: Naming,
    optimisation: Optimisation,
    case: Case,
    expected: dict[str, float],
    tolerance: float,
) -> None:
    """Make the optimiser's first step and compare the sums of the weights.

    Args:
        network: after a backward pass.
        naming: from our names to the authors'.
        optimisation: the objective's; rate, decay and momentum are taken from the case.
        case: gives those and the number of weights.
        expected: the sum of each weight after the step, by the authors' names.
        tolerance: of the gradients, relative to their norms.
    """
    assert sum(weight.dim() == 4 for weight in network.parameters()) == case["n_params_per_group"].sum()
    assert not case["n_params_per_group"][1:].any()  # so that the new layers learn as fast as the trunk
    assert optimisation.head_factor == 1
    given = {"learning_rate": case["lrs"][0]}
    for field, name in (("weight_decays", "weight_decay"), ("momentum", "momentum")):
        if field in case:
            given[name] = case[field][0]
    optimisation = optimisation.model_copy(update={name: float(value) for name, value in given.items()})
    groups = [
        ParameterGroup(trainable(network.trunk), 1),
        ParameterGroup(network.new_parameters(), optimisation.head_factor),
    ]
    _make_optimizer(groups, optimisation).step()
    weights = {naming(name): weight for name, weight in network.named_parameters()}
    for name, value in expected.items():
        weight, gradient = weights[name], weights[name].grad
        assert gradient is not None
        # An error of the gradient, of any direction, changes the sum by its norm times this root at most.
        largest = optimisation.learning_rate * tolerance * gradient.norm().item() * weight.numel() ** 0.5
        assert weight.detach().double().sum().item() == pytest.approx(value, abs=largest), name


def largest_difference(found: Tensor, expected: Tensor) -> float:
    """The largest absolute difference; shapes have to agree."""
    assert found.shape == expected.shape
    return (found.double() - expected.double()).abs().max().item() if found.numel() else 0.0
