import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.cams.tiny_network import TinyClassifier
from tests.classifiers.tiny_networks import tiny
from tests.oracles.plain_advcam import mean_of_positive, plain_climb
from wsss_core.cams.advcam import advcam_class_maps, advcam_side_by_side, climb, steps_at_scale, weight_of_sums
from wsss_core.cams.multiscale import multiscale_class_maps
from wsss_core.classifiers.cgnet import CgnetObjective
from wsss_core.config.cams import AdvCams, MultiscaleCams
from wsss_core.config.classifiers import CgnetClassifier
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.inference import scaled_images
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain_maps(network: TinyClassifier, clean: torch.Tensor, classes: list[int], steps: int, parameters: AdvCams):
    settings_ = (
        parameters.step_size,
        parameters.regularisation,
        parameters.mask_threshold,
        parameters.suppress_other_classes,
    )
    return torch.stack([plain_climb(network.trunk, network.head, clean, k, steps, *settings_) for k in classes])


@given(
    height=st.integers(5, 24),
    width=st.integers(5, 24),
    classes=st.sets(st.integers(0, 3), min_size=1, max_size=4).map(sorted),
    steps=st.integers(1, 7),
    step_size=st.sampled_from([0.05, 0.2, 1.0]),
    # No round numbers: lambda / K+ equal to 1 / (h w) cancels the gradient down to its rounding.
    regularisation=st.sampled_from([0.0, 0.4717, 6.937]),
    mask_threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    suppress=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_one_backward_gives_what_two_give(
    height, width, classes, steps, step_size, regularisation, mask_threshold, suppress, seed
):
    parameters = AdvCams(
        classifier="c",
        steps=steps,
        step_size=step_size,
        regularisation=regularisation,
        mask_threshold=mask_threshold,
        suppress_other_classes=suppress,
    )
    network = TinyClassifier(seed=seed)
    clean = normalise(random_image(height, width, seed)).double()
    fast = climb(network, clean[None], [classes], steps, parameters)
    torch.testing.assert_close(fast, plain_maps(network, clean, classes, steps, parameters), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("steps", "scales"), [(3, (1.0,)), (8, (0.5, 1.0, 1.5)), (12, (1.0, 0.5))])
def test_scales_are_summed_as_the_authors_do(steps, scales):
    parameters = AdvCams(classifier="c", steps=steps, scales=scales, regularisation=0.3)
    network, image, classes = TinyClassifier(seed=3), random_image(19, 26), [1, 2]
    sums = torch.zeros(2, 5, 7, dtype=torch.float64)
    for scale in scales:
        clean = normalise(rescale(image, scale)).double()
        count = {3: 3, 8: 5, 12: 6}[steps] if scale < 1 else steps
        factor = 2 if steps == 12 else 1
        maps = factor * plain_maps(network, clean, classes, count, parameters)
        sums += torch.nn.functional.interpolate(maps[None], size=(5, 7), mode="bilinear", align_corners=False)[0]
    cam, high_res = advcam_class_maps(network, image, classes, parameters).normalised()
    torch.testing.assert_close(cam, sums / (sums.amax(dim=(1, 2), keepdim=True) + 1e-5), rtol=0, atol=1e-8)
    assert high_res is not None and high_res.shape == (2, 19, 26)


def test_the_image_changes_what_is_seen():
    network, clean = TinyClassifier(seed=1), normalise(random_image(16, 16)).double()
    one = climb(network, clean[None], [[0]], 1, AdvCams(classifier="c", regularisation=0))
    four = climb(network, clean[None], [[0]], 4, AdvCams(classifier="c", regularisation=0))
    assert four.sum() > 4 * one.sum() > 0


def test_a_class_without_evidence_gives_zeros():
    network, clean = TinyClassifier(seed=1), normalise(random_image(16, 16)).double()
    network.head.weight[0] = -network.head.weight[0].abs()
    assert torch.equal(climb(network, clean[None], [[0]], 4, AdvCams(classifier="c")), torch.zeros(1, 4, 4).double())


def test_classes_that_do_not_fit_at_once_give_the_same(monkeypatch):
    parameters = AdvCams(classifier="c", steps=3, scales=(1.0,))
    network, image = TinyClassifier(), random_image(16, 16)
    together = advcam_class_maps(network, image, [0, 1, 3], parameters).normalised()[0]
    monkeypatch.setattr(scaled_images, "CPU_PIXELS", 2 * 16 * 16 * 2)
    torch.testing.assert_close(advcam_class_maps(network, image, [0, 1, 3], parameters).normalised()[0], together)


def test_the_clean_image_is_looked_at_once(monkeypatch):
    network, clean, seen = TinyClassifier(), normalise(random_image(16, 16)).double(), []
    evidence = network.evidence

    def watched(images):
        seen.append(len(images))
        return evidence(images)

    monkeypatch.setattr(network, "evidence", watched)
    climb(network, clean[None], [[0, 1, 3]], 4, AdvCams(classifier="c"))
    assert seen == [2, 6, 6, 6]
    monkeypatch.setattr(scaled_images, "CPU_PIXELS", 2 * 16 * 16 * 2)
    climb(network, clean[None], [[0, 1, 3]], 3, AdvCams(classifier="c"))
    assert seen[4:] == [2, 4, 4, 2, 2]


@pytest.mark.parametrize(("steps", "at_half"), [(1, 1), (5, 5), (6, 5), (10, 5), (11, 5), (12, 6), (27, 13)])
def test_fewer_steps_at_small_scales(steps, at_half):
    assert steps_at_scale(steps, 0.5) == at_half
    assert steps_at_scale(steps, 1.0) == steps_at_scale(steps, 2.0) == steps


@pytest.mark.parametrize(
    ("steps", "scales", "factor"),
    [(27, (0.5, 1.0), 2), (27, (1.0, 1.5), 1), (10, (0.5, 1.0), 1), (11, (1.0, 0.5), 2), (5, (0.5,), 1)],
)
def test_the_authors_factor_of_the_sums(steps, scales, factor):
    assert weight_of_sums(steps, scales) == factor


def trained_by_cgnet() -> ClassMapClassifier:
    """A few of CGNet's steps from random weights."""
    network, ordinary = tiny(ClassMapClassifier, 1), tiny(ClassMapClassifier, 2)
    objective = CgnetObjective(network, CgnetClassifier(backbone="b", ordinary="o"), ordinary)
    images = torch.stack([normalise(random_image(20, 20, seed)).double() for seed in range(4)])
    labels = torch.eye(4, 5).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        objective.losses(images, labels, 0)["loss"].backward()
        optimizer.step()
    return network.requires_grad_(False)


def gated_pyramid(**options) -> GatedPyramidClassifier:
    return tiny(GatedPyramidClassifier, 3, feature_channels=7, **options).requires_grad_(False)


def weighed_by_pooled(network: GatedPyramidClassifier):
    """The positive part of the classifier's logits: its maps weighed by themselves pooled."""
    return lambda logits: (logits.relu() * network.pooling(logits).relu()).mean(dim=(2, 3))


def of_trunk(network):
    return lambda images: network.trunk(images)[-1]


def of_reduction(network):
    return lambda images: network.reduction(network.trunk(images)[-1]).relu()


NETWORKS = {
    "cgnet": (trained_by_cgnet, of_trunk, lambda network: mean_of_positive),
    "aeft": (lambda: gated_pyramid(bins=(2, 4)), of_reduction, weighed_by_pooled),
    "aeft, averaged": (lambda: gated_pyramid(bins=(1, 3), fusion="average"), of_reduction, weighed_by_pooled),
    "aeft, no bins": (lambda: gated_pyramid(bins=()), of_reduction, lambda network: mean_of_positive),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("suppress", [True, False])
def test_it_climbs_on_other_classifiers_scores(name, suppress):
    make, features, scores = NETWORKS[name]
    network = make()
    parameters = AdvCams(classifier="c", step_size=0.2, regularisation=0.4717, suppress_other_classes=suppress)
    clean, classes = normalise(random_image(27, 22, 8)).double(), [0, 1, 3, 4]
    found = climb(network, clean[None], [classes], 5, parameters)
    settings_ = (parameters.step_size, parameters.regularisation, parameters.mask_threshold, suppress)
    expected = torch.stack(
        [plain_climb(features(network), network.head, clean, k, 5, *settings_, scores(network)) for k in classes]
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    still = climb(network, clean[None], [classes], 1, parameters)
    assert (found / 5 - still).abs().amax(dim=(1, 2)).max() > 1e-3


@pytest.mark.parametrize(
    "make", [trained_by_cgnet, gated_pyramid, lambda: tiny(SelfErasingClassifier, 3).requires_grad_(False)]
)
def test_its_maps_are_others_than_the_classifiers_own(make):
    network, image, classes = make(), random_image(40, 33, 2), [0, 2, 3]
    options = {"classifier": "c", "scales": (0.5, 1.0)}
    climbing = AdvCams(steps=5, step_size=0.3, regularisation=0.1, **options)
    cam, high_res = advcam_class_maps(network, image, classes, climbing).normalised()
    plain, _ = multiscale_class_maps(network, image, classes, MultiscaleCams(**options)).normalised()
    assert cam.shape == plain.shape == (3, 10, 9) and high_res.shape == (3, 40, 33)
    assert ((cam >= 0) & (cam <= 1)).all()
    assert (cam - plain).abs().max() > 0.01


def test_the_pyramids_scores_are_not_the_maps_means():
    network, images = gated_pyramid(bins=(2, 4)), normalise(random_image(20, 20))[None].double()
    maps, scores = network.evidence(images)
    assert (maps >= 0).all()
    assert (scores - maps.mean(dim=(2, 3))).abs().max() > 1e-3
    torch.testing.assert_close(network.evidence(images)[0], network.class_maps(images).relu())


SEVERAL = [[0, 1, 3], [2], [0, 3], [1, 2]]
"""Classes of images that are drawn side by side: not all of them as many."""


@pytest.mark.parametrize("make", [TinyClassifier, lambda: gated_pyramid(bins=(2, 4))], ids=["tiny", "aeft"])
@pytest.mark.parametrize("pixels", [2**21, 5 * 2 * 25 * 18, 1])
@pytest.mark.parametrize("steps", [1, 5])
def test_images_side_by_side_have_the_maps_they_have_alone(monkeypatch, make, pixels, steps):
    monkeypatch.setattr(scaled_images, "CPU_PIXELS", pixels)
    network, images = make(), [random_image(25, 18, seed) for seed in range(len(SEVERAL))]
    parameters = AdvCams(classifier="c", steps=steps, step_size=0.2, regularisation=0.4717, scales=(0.5, 1.0))
    together = advcam_side_by_side(
        network,
        scaled_images.scaled_images(images, parameters.scales).sent_to(network.head.weight),
        SEVERAL,
        parameters,
    )
    alone = [advcam_class_maps(network, *one, parameters) for one in zip(images, SEVERAL, strict=True)]
    for found, *expected in zip(together.normalised(), *(one.normalised() for one in alone), strict=True):
        torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-12)


def test_nothing_in_the_climb_waits_for_the_device():
    """Tensors of the device "meta" have no values: who wants to see one, which on a GPU means waiting, fails."""
    network = copy.deepcopy(gated_pyramid(bins=(2, 4))).float().to("meta")
    clean, parameters = torch.empty(4, 3, 25, 18, device="meta"), AdvCams(classifier="c")
    assert climb(network, clean, SEVERAL, 4, parameters).shape[0] == sum(map(len, SEVERAL))
    evidence = network.evidence

    def looked_at(images):
        maps, scores = evidence(images)
        return maps, scores if scores.max() > 0 else -scores

    network.evidence = looked_at
    with pytest.raises(RuntimeError, match="meta"):
        climb(network, clean, SEVERAL, 4, parameters)
