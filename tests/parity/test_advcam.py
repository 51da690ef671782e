"""AdvCAM against the authors' code; tolerances of ``tests/golden/README.md``.

In float32 only what comes before the first step is compared closely: the climb multiplies rounding errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.cases import Case
from tests.parity.imported import Imported, largest_difference
from wsss_core.cams import advcam, climbing
from wsss_core.cams.advcam import advcam_class_maps, steps_at_scale, weight_of_sums
from wsss_core.config.cams import AdvCams
from wsss_core.datasets.transforms import normalise
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.folded import folded_for_inference

pytestmark = pytest.mark.xdist_group("advcam")

AUTHORS_SCALES = (1.0, 0.5, 1.5, 2.0)
"""What ``scaleidx`` in the files' names counts."""
EXACT = 1e-8
"""Of float64 results."""
REGIONS, LOSSES, GRADIENTS = 5e-5, 1e-4, 1e-2
"""Relative, of float32 results before the first step."""


def largest_final(steps: int) -> float:
    """Absolute difference that float32 maps may come to."""
    return 5e-3 if steps <= 7 else 2e-2


def settings_of(case: Case) -> AdvCams:
    return AdvCams(classifier="c", steps=int(case["adv_iter"]))


def double(case: Case, imported: Imported) -> ClassMapClassifier:
    return load_classifier(imported("irn-cam")).double().to(memory_format=torch.channels_last)


@dataclass
class Climb:
    """What one class's climb at one scale computed on its way, step by step; ``goals`` lack the last."""

    regions: list[Tensor] = field(default_factory=list)
    goals: list[Tensor] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)

    def penalty(self, step: int, class_index: int, weight: float) -> float:
        """The authors' ``L_AD``: what the goal is less than the scores say."""
        scores = self.scores[step][0]  # (2, all classes)
        logits = 2 * scores[:, class_index].sum() - scores.sum()
        return ((logits - self.goals[step]) / weight).item()


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Climb]]:
    """The climbs made meanwhile, of one class each."""
    climbs: list[Climb] = []
    real_climb, real_map, real_goal, real_step = advcam.climb, climbing._pair_map, climbing._goal, climbing._climbed

    def watched_climb(*arguments):
        climbs.append(Climb())
        return real_climb(*arguments)

    def watched_map(*arguments):
        maps = real_map(*arguments)
        climbs[-1].regions.append(maps.detach()[0])
        return maps

    def watched_goal(scores, *arguments):
        goal = real_goal(scores, *arguments)
        climbs[-1].goals.append(goal.detach())
        climbs[-1].scores.append(scores.detach())
        return goal

    def watched_step(images, gradient, step_size):
        climbs[-1].gradients.append(gradient)
        climbs[-1].images.append(real_step(images, gradient, step_size))
        return climbs[-1].images[-1]

    with monkeypatch.context() as patch:
        patch.setattr(advcam, "climb", watched_climb)
        patch.setattr(climbing, "_pair_map", watched_map)
        patch.setattr(climbing, "_goal", watched_goal)
        patch.setattr(climbing, "_climbed", watched_step)
        yield climbs


def drawn(
    network: ClassMapClassifier, case: Case, class_index: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, Tensor, dict[int, Climb]]:
    """``cam`` and ``high_res`` of one class, and its climbs by the authors' number of the scale."""
    parameters = settings_of(case)
    assert sorted(parameters.scales) == sorted(AUTHORS_SCALES)
    with watched(monkeypatch) as climbs:
        cam, high_res = advcam_class_maps(network, case["image"], [class_index], parameters).normalised()
    assert high_res is not None
    numbers = [AUTHORS_SCALES.index(scale) for scale in parameters.scales]
    return cam[0], high_res[0], dict(zip(numbers, climbs, strict=True))


@pytest.mark.golden("advcam*.npz")
def test_numbers_of_steps(case: Case):
    steps = int(case["adv_iter"])
    assert steps_at_scale(steps, AUTHORS_SCALES[1]) == int(case["n_iter_scaleidx1"])
    assert weight_of_sums(steps, settings_of(case).scales) == case["mul_for_scale"][0]
    assert case["keys"].tolist() == case["labels"].tolist()


@pytest.mark.golden("advcam*.npz")
def test_float64(case: Case, imported: Imported, monkeypatch):
    network, weight = double(case, imported), settings_of(case).regularisation
    for position, k in enumerate(case["keys"].tolist()):
        cam, high_res, climbs = drawn(network, case, k, monkeypatch)
        assert largest_difference(cam, case.tensor("f64_cam")[position]) <= EXACT
        assert largest_difference(high_res, case.tensor("f64_high_res")[position]) <= EXACT
        for number, climbed in climbs.items():
            name = f"f64_scaleidx{number}_c{k}"
            assert largest_difference(torch.stack(climbed.regions), case.tensor(f"{name}_regions")) <= EXACT, name
            # The authors' last loss is that of a step which leads to no map; we do not compute it.
            goals = [goal.item() for goal in climbed.goals]
            np.testing.assert_allclose(goals, case[f"{name}_loss"][:-1], rtol=EXACT, atol=EXACT)
            penalties = [climbed.penalty(step, k, weight) for step in range(len(climbed.goals))]
            np.testing.assert_allclose(penalties, case[f"{name}_L_AD"][:-1], rtol=0, atol=EXACT)


@pytest.mark.parametrize("folded", [False, True], ids=["as it is", "folded"])
@pytest.mark.golden("advcam*.npz")
def test_the_climbing_image_in_float64(case: Case, imported: Imported, monkeypatch, folded: bool):
    network, parameters = double(case, imported), settings_of(case)
    network = folded_for_inference(network) if folded else network
    clean = normalise(case["image"]).double()
    for k in case["keys"].tolist():
        with watched(monkeypatch) as climbs:  # one map more, so that the authors' last step is made
            advcam.climb(network, clean[None], [[k]], parameters.steps + 1, parameters)
        found = {"image_after_last": climbs[0].images[-1]}
        if parameters.steps > 1:
            found["grad_it1"] = climbs[0].gradients[1]
        for name, tensor in found.items():
            expected = case.tensor(f"f64_s1_c{k}_{name}")
            rounding = torch.finfo(torch.float32).eps * expected.abs().max().item()  # stored as float32
            assert largest_difference(tensor, expected) <= EXACT + rounding, name
        assert climbs[0].goals[-1].item() == pytest.approx(case[f"f64_scaleidx0_c{k}_loss"][-1], rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("folded", [False, True], ids=["as it is", "folded"])
@pytest.mark.golden("advcam*.npz")
def test_float32(case: Case, imported: Imported, monkeypatch, folded: bool):
    network, parameters = load_classifier(imported("irn-cam")), settings_of(case)
    network = folded_for_inference(network) if folded else network
    for position, k in enumerate(case["keys"].tolist()):
        cam, high_res, climbs = drawn(network, case, k, monkeypatch)
        for name, found in (("cam", cam), ("high_res", high_res)):
            expected = case.tensor(name)[position]
            assert largest_difference(found, expected) <= largest_final(parameters.steps), name
            if expected.any():  # a class without any evidence has no map to correlate
                assert np.corrcoef(found.flatten(), expected.flatten())[0, 1] > 0.999, name
        for number, climbed in climbs.items():
            name = f"s1_c{k}" if number == 0 else f"scaleidx{number}_c{k}"
            expected = case.tensor(f"{name}_regions")
            assert len(climbed.regions) == len(expected)
            assert largest_difference(climbed.regions[0], expected[0]) <= REGIONS * expected[0].max(), name
            if climbed.goals:  # of one iteration alone nothing is climbed
                assert climbed.goals[0].item() == pytest.approx(case[f"{name}_loss"][0], rel=LOSSES), name
        if climbs[0].goals:
            check_before_the_first_step(network, case, k, climbs[0], parameters)


def check_before_the_first_step(
    network: ClassMapClassifier, case: Case, class_index: int, climbed: Climb, parameters: AdvCams
) -> None:
    name = f"s1_c{class_index}"
    clean = normalise(case["image"])
    pair = torch.stack([clean, clean.flip(2)])
    logits, expected = network.class_maps(pair), case.tensor(f"{name}_logits_it0")
    assert largest_difference(logits, expected) <= REGIONS * expected.abs().max()
    gaps = case.tensor(f"{name}_logit_gap")[0]
    assert largest_difference(climbed.scores[0][0], gaps) <= REGIONS * gaps.max()
    region = climbed.regions[0]
    mask = region > parameters.mask_threshold * region.max()
    assert torch.equal(mask, case.tensor(f"{name}_mask")[0].bool())
    assert climbed.penalty(0, class_index, parameters.regularisation) == pytest.approx(0, abs=LOSSES)
    assert case[f"{name}_L_AD"][0] == 0
    # The authors' logit_loss is what falls, their loss what rises.
    assert -climbed.goals[0].item() == pytest.approx(case[f"{name}_logit_loss"][0], rel=LOSSES)
    gradient, expected = climbed.gradients[0], case.tensor(f"{name}_grad_it0")
    assert torch.linalg.vector_norm(gradient - expected) <= GRADIENTS * torch.linalg.vector_norm(expected)
    assert gradient.abs().max().item() == pytest.approx(case[f"{name}_gmax"][0], rel=GRADIENTS)
    step, expected = climbed.images[0] - pair, case.tensor(f"{name}_image_after_1") - pair
    assert torch.linalg.vector_norm(step - expected) <= GRADIENTS * torch.linalg.vector_norm(expected)
