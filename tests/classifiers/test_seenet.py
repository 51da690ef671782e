import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.classifiers.tiny_networks import CLASSES, as_lists, assert_same, batches, tiny
from tests.oracles.plain_seenet import plain_attention, plain_erased, plain_losses
from wsss_core.classifiers.seenet import SeenetObjective
from wsss_core.config.classifiers import SeenetClassifier
from wsss_core.networks.self_erasing import (
    SelfErasingClassifier,
    attention,
    conditionally_rectified,
    ternary_mask,
)

LABELS = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1], [1, 1, 1, 1, 0]], dtype=torch.float64)


def objective_with(seed=0, **options):
    return SeenetObjective(tiny(SelfErasingClassifier, seed), SeenetClassifier(backbone="b", **options), None)


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(3, 3, 36, 31, dtype=torch.float64)


@given(
    batch=batches(),
    thresholds=st.sampled_from([(0.7, 0.05, None), (0.8, 0.0, None), (0.5, 0.3, 0.2), (0.2, 0.1, 0.9)]),
    reverse=st.booleans(),
    branch=st.booleans(),
    gradient=st.sampled_from(["authors", "exact"]),
    seed=st.integers(0, 1000),
)
def test_losses_and_gradients_are_those_of_the_plain_computation(batch, thresholds, reverse, branch, gradient, seed):
    images, labels = batch
    high, low, background = thresholds
    if not branch:
        background = None
    objective = objective_with(
        seed,
        high_threshold=high,
        low_threshold=low,
        background_threshold=background,
        reverse_background=reverse,
        background_branch=branch,
        erased_gradient=gradient,
    )
    limit = None if not branch else (high + low) / 2 if background is None else background
    expected = plain_losses(objective.network, images, as_lists(labels), high, low, limit, reverse, gradient)
    assert_same(objective.network, objective.losses(images, labels, 0), expected)


@given(
    batch=batches(),
    thresholds=st.sampled_from([(0.7, 0.05), (0.8, 0.0), (0.5, 0.3), (0.9, 0.89)]),
    reverse=st.booleans(),
    gradient=st.sampled_from(["authors", "exact"]),
    seed=st.integers(0, 1000),
)
def test_erasing_is_that_of_the_plain_computation(batch, thresholds, reverse, gradient, seed):
    _, labels = batch
    torch.manual_seed(seed)
    maps = torch.randn(len(labels), len(CLASSES), 5, 6, dtype=torch.float64)
    features = torch.randn(len(labels), 4, 5, 6, dtype=torch.float64).relu().requires_grad_()
    slope = torch.randn(features.shape, dtype=torch.float64)
    seen = attention(maps, labels)
    plain = [plain_attention(one, shown) for one, shown in zip(maps, as_lists(labels), strict=True)]
    torch.testing.assert_close(seen, torch.tensor(plain, dtype=torch.float64), rtol=0, atol=1e-14)
    erased = conditionally_rectified(
        features, ternary_mask(seen, thresholds[0], thresholds[1] if reverse else None), gradient
    )
    expected = torch.stack(
        [plain_erased(one, there, *thresholds, reverse, gradient) for one, there in zip(features, plain, strict=True)]
    )
    torch.testing.assert_close(erased, expected)
    for own, other in zip(
        *(torch.autograd.grad(result, features, slope) for result in (erased, expected)), strict=True
    ):
        torch.testing.assert_close(own, other)


def test_attention_is_that_of_the_images_own_classes():
    maps = torch.tensor([[[[0.0, 1, 2, 4]], [[8.0, 0, 0, 0]], [[-1, -2, -3, -4]]]])
    expected = {(1, 0, 0): [0, 0.25, 0.5, 1], (1, 1, 0): [1, 0.25, 0.5, 1], (0, 0, 1): [0] * 4, (0, 0, 0): [0] * 4}
    for labels, values in expected.items():
        seen = attention(maps, torch.tensor([labels]).float())
        torch.testing.assert_close(seen[0, 0], torch.tensor(values).float())


def test_thresholds_are_strict():
    seen = torch.tensor([[[0.0, 0.05, 0.04, 0.7, 0.71]]])
    assert ternary_mask(seen, 0.7, 0.05).flatten().tolist() == [-1, 1, -1, 1, 0]
    assert ternary_mask(seen, 0.7, 0.0).flatten().tolist() == [1, 1, 1, 1, 0]
    assert ternary_mask(seen, 0.7, None).flatten().tolist() == [1, 1, 1, 1, 0]


def test_the_authors_gradient_leaks_in_all_channels_but_the_first():
    features = torch.ones(1, 3, 1, 3, requires_grad=True)
    mask = torch.tensor([[[[0.0, -1, 1]]]])
    for name, first, others in (("authors", [0, -1, 1], [1, -1, 1]), ("exact", [0, -1, 1], [0, -1, 1])):
        (gradient,) = torch.autograd.grad(conditionally_rectified(features, mask, name).sum(), features)
        assert gradient[0, :, 0].tolist() == [first, others, others]
    assert torch.equal(conditionally_rectified(features, mask), conditionally_rectified(features, mask, "exact"))


def test_the_erasing_gradient_changes_gradients_and_no_loss(images):
    authors, exact = (objective_with(erased_gradient=name) for name in ("authors", "exact"))
    losses = [objective.losses(images, LABELS, 0)["loss"] for objective in (authors, exact)]
    assert torch.equal(*losses)
    one, other = (
        torch.autograd.grad(loss, objective.network.trunk.convolution.weight)[0]
        for loss, objective in zip(losses, (authors, exact), strict=True)
    )
    assert (one - other).abs().max() > 1e-6


def test_without_the_background_branch_there_are_two_losses(images):
    whole, less = (objective_with(background_branch=on).losses(images, LABELS, 0) for on in (True, False))
    assert set(whole) - set(less) == {"background"}
    torch.testing.assert_close(less["loss"], whole["loss"] - whole["background"])


def test_without_reversing_the_background_stays(images):
    reversing, staying = (objective_with(reverse_background=on).losses(images, LABELS, 0) for on in (True, False))
    torch.testing.assert_close(reversing["initial"], staying["initial"])
    torch.testing.assert_close(reversing["background"], staying["background"])
    assert abs(reversing["erased"] - staying["erased"]) > 1e-6
    never = objective_with(low_threshold=0.0, background_threshold=0.375).losses(images, LABELS, 0)
    torch.testing.assert_close(never["erased"], staying["erased"])


def test_the_background_threshold_is_the_mean_of_the_others_by_default(images):
    default = objective_with(high_threshold=0.6, low_threshold=0.2).losses(images, LABELS, 0)
    same, other = (
        objective_with(high_threshold=0.6, low_threshold=0.2, background_threshold=limit).losses(images, LABELS, 0)
        for limit in (0.4, 0.1)
    )
    torch.testing.assert_close(default["background"], same["background"])
    assert abs(default["background"] - other["background"]) > 1e-6


def test_the_attention_itself_gets_no_gradient_from_the_second_branch(images):
    objective = objective_with(background_branch=False)
    erased = objective.losses(images, LABELS, 0)["erased"]
    gradients = torch.autograd.grad(erased, list(objective.network.first.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)
