import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.cams.test_advcam import random_image
from tests.classifiers.tiny_networks import tiny
from wsss_core.cams.seenet import seenet_class_maps
from wsss_core.config.cams import SeenetCams
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier

CLASSES = [0, 2, 3]


@pytest.fixture
def network() -> SelfErasingClassifier:
    return tiny(SelfErasingClassifier, 6).requires_grad_(False)


def weight(distance: float) -> float:
    """The cubic convolution kernel with a = -0.75, as OpenCV has it."""
    a, t = -0.75, abs(distance)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def cubic(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Resize along an axis: each value of four neighbours, those beyond the border as the border."""
    length = values.shape[axis]
    rows = []
    for position in range(size):
        source = (position + 0.5) * length / size - 0.5
        first = int(np.floor(source)) - 1
        rows.append(
            sum(weight(source - k) * values.take(min(max(k, 0), length - 1), axis) for k in range(first, first + 4))
        )
    return np.stack(rows, axis)


def plain_maps(network, image, classes, parameters) -> list[np.ndarray]:
    """SeeNet's notebook, class by class and view by view."""
    height, width = image.shape[:2]
    pixels = image.astype(np.float64)
    if parameters.size is not None:
        pixels = cubic(cubic(pixels, parameters.size, 0), parameters.size, 1)
    pixels = ((pixels / 255 - MEAN) / STANDARD_DEVIATION).transpose(2, 0, 1).copy()
    labels, maps = np.zeros(len(network.classes)), []
    for k in classes:
        if parameters.attend_to == "one_class":
            labels[:] = 0
        labels[k] = 1
        found = []
        for mirrored in (False, True) if parameters.flip else (False,):
            view = torch.from_numpy(pixels[:, :, ::-1].copy() if mirrored else pixels)[None]
            thresholds = (parameters.high_threshold, parameters.low_threshold)
            branches = network.branch_maps(network.features(view), torch.from_numpy(labels)[None], *thresholds)
            for branch in (branches.first, branches.second):
                large = cubic(cubic(branch[0, k].numpy(), height, 0), width, 1).clip(min=0)
                large = large / (large.max() + 1e-8)
                found.append(large[:, ::-1] if mirrored else large)
        maps.append(np.max(found, axis=0))
    return maps


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("attend_to", ["one_class", "earlier_classes"])
@pytest.mark.parametrize(
    ("size", "thresholds"), [(24, (0.8, 0.0)), (24, (0.7, 0.05)), (64, (0.5, 0.3)), (None, (0.7, 0.05))]
)
def test_maps_are_those_of_the_plain_computation(network, flip, attend_to, size, thresholds):
    parameters = SeenetCams(
        classifier="c",
        size=size,
        flip=flip,
        attend_to=attend_to,
        high_threshold=thresholds[0],
        low_threshold=thresholds[1],
    )
    image = random_image(41, 30, 1)
    maps = seenet_class_maps(network, image, CLASSES, parameters)
    expected = plain_maps(network, image, CLASSES, parameters)
    np.testing.assert_allclose(maps.high_res.numpy(), expected, rtol=0, atol=1e-9)


def test_the_small_maps_are_the_large_ones_reduced(network):
    smooth = SeenetCams(classifier="c", size=16)  # the network sees 4 x 4 cells
    maps = seenet_class_maps(network, random_image(41, 30), CLASSES, smooth)
    assert maps.cam.shape == (3, 11, 8) and maps.high_res.shape == (3, 41, 30)
    large = functional.interpolate(maps.cam[None], size=(41, 30), mode="bilinear")[0]
    assert np.corrcoef(large.flatten(), maps.high_res.flatten())[0, 1] > 0.9
    cam, high_res = maps.normalised()
    for found in (cam, high_res):
        assert ((found >= 0) & (found <= 1)).all()
        torch.testing.assert_close(found.amax(dim=(1, 2)), torch.ones(3).double(), rtol=0, atol=1e-4)
    less = seenet_class_maps(
        network, random_image(41, 30), CLASSES, SeenetCams(classifier="c", size=16, high_res=False)
    )
    assert torch.equal(less.cam, maps.cam)
    assert less.normalised()[1] is None


def test_classes_before_are_erased_too_if_asked_for(network):
    image = random_image(40, 40, 3)
    earlier, one = (
        seenet_class_maps(network, image, CLASSES, SeenetCams(classifier="c", high_threshold=0.3, attend_to=attend_to))
        for attend_to in ("earlier_classes", "one_class")
    )
    assert torch.equal(earlier.high_res[0], one.high_res[0])
    assert (earlier.high_res[1:] - one.high_res[1:]).abs().max() > 1e-3
    alone = seenet_class_maps(
        network, image, CLASSES[1:2], SeenetCams(classifier="c", high_threshold=0.3, attend_to="one_class")
    )
    torch.testing.assert_close(alone.high_res[0], one.high_res[1])


def test_another_network_is_refused_in_a_sentence():
    other = tiny(ClassMapClassifier, 6)
    with pytest.raises(UserError, match="needs SeeNet's network; derive the objective from SeenetObjective"):
        seenet_class_maps(other, np.zeros((20, 30, 3), np.uint8), [0], SeenetCams(classifier="ordinary"))


def test_a_mirrored_image_has_mirrored_maps(network):
    image, parameters = random_image(32, 32, 4), SeenetCams(classifier="c", size=32)
    maps = seenet_class_maps(network, image, CLASSES, parameters).high_res
    mirrored = seenet_class_maps(network, np.ascontiguousarray(image[:, ::-1]), CLASSES, parameters).high_res
    torch.testing.assert_close(mirrored, maps.flip(2))


def test_classes_without_evidence_give_zeros(network):
    for branch in (network.first, network.second):
        # The same everywhere: cubic interpolation may overshoot other negative maps into positive ones.
        branch.score.weight[0], branch.score.bias[0] = 0, -1
    maps = seenet_class_maps(network, random_image(20, 20), [0, 1], SeenetCams(classifier="c", size=32))
    cam, high_res = maps.normalised()
    assert not cam[0].any() and not high_res[0].any()
    assert high_res[1].max() > 0.9
