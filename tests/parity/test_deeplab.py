"""deeplab-pytorch: network, losses, gradients, scores and learning rates."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.parity.cases import Case, authors_weights
from wsss_core.config.segmentation import DeepLabV2 as settings_of
from wsss_core.config.training import Optimisation
from wsss_core.datasets.transforms import normalise
from wsss_core.evaluation.confusion import confusion_matrix, scores_of
from wsss_core.importing.authors_formats import RESNET101
from wsss_core.networks.deeplabv2 import DeepLabV2, from_authors, our_name
from wsss_core.networks.pixels import CaffePixels
from wsss_core.networks.trunks import build_trunk
from wsss_core.segmentation.class_probabilities import class_probabilities
from wsss_core.segmentation.losses import resized_labels, segmentation_losses
from wsss_core.training.loop import learning_rate_factor

LOGITS = {"rtol": 0.0, "atol": 1e-4}
GRADIENT_NORMS = 5e-4
"""Relative. The authors' float32 norms are themselves up to 1.4e-4 away from those computed in float64, where
rounding decides which side of a ReLU's kink a value is on; another number of threads changes as much."""
SCALE_FIELD = "train_logits_"
ITERATIONS_PER_STEP = 2
"""Of the field ``total_over_iter_size2``; the gradients are that total's."""


@functools.cache
def weights() -> dict[str, Tensor]:
    return from_authors(authors_weights("deeplabv2_msc"))


def network_of(case: Case, own_pixels: bool = False) -> DeepLabV2:
    """The authors' network, at the scales of the case; fed with what the authors feed, or with our pixels."""
    classes = [str(number) for number in range(len(weights()["pyramid.branches.0.bias"]) - 1)]
    network = DeepLabV2(build_trunk(RESNET101), classes, input_scales=[scale for scale, _ in logits_at_scales(case)])
    network.load_state_dict(weights())
    if not own_pixels:
        network.trunk.pixels = nn.Identity()
    return network.eval()


def logits_at_scales(case: Case) -> list[tuple[float, Tensor]]:
    names = [name for name in case if name.startswith(SCALE_FIELD)]
    return [(float(name.removeprefix(SCALE_FIELD).replace("p", ".")), case.tensor(name)) for name in names]


@pytest.mark.golden("deeplab*.npz")
def test_pixels_are_those_the_authors_feed(case: Case) -> None:
    images = np.reshape(case["image_rgb"], (-1, *case["image_rgb"].shape[-3:]))
    converted = CaffePixels()(torch.stack([normalise(image) for image in images]))
    torch.testing.assert_close(converted, case.tensor("input_bgr_chw"), rtol=0, atol=1e-4)
    with torch.inference_mode():
        logits = network_of(case, own_pixels=True)(torch.stack([normalise(image) for image in images]))
    torch.testing.assert_close(logits, case.tensor("logits_max"), **LOGITS)


@pytest.mark.golden("deeplab*.npz")
def test_probabilities_of_an_image_file(case: Case) -> None:
    """As the authors' test makes them: logits enlarged to the image's size, softmax."""
    images = np.reshape(case["image_rgb"], (-1, *case["image_rgb"].shape[-3:]))
    network, settings = network_of(case, own_pixels=True), settings_of(backbone="any").prediction
    for image, logits in zip(images, case.tensor("logits_max"), strict=True):
        enlarged = functional.interpolate(logits[None], size=image.shape[:2], mode="bilinear", align_corners=False)
        with torch.inference_mode():
            probabilities = class_probabilities(network, image, settings)
        torch.testing.assert_close(probabilities, enlarged[0].softmax(dim=0), rtol=0, atol=1e-5)


@pytest.mark.golden("deeplab*.npz")
def test_logits(case: Case) -> None:
    network, images = network_of(case), case.tensor("input_bgr_chw")
    with torch.inference_mode():
        torch.testing.assert_close(network(images), case.tensor("logits_max"), **LOGITS)
        torch.testing.assert_close(network.at_one_scale(images), case.tensor("logits_scale1"), **LOGITS)
        logits = network.all_logits(images)
    assert [list(part.shape) for part in logits] == case["train_logit_shapes"].tolist()
    for part, (_, expected) in zip(logits[1:-1], logits_at_scales(case), strict=True):
        torch.testing.assert_close(part, expected, **LOGITS)


@pytest.mark.golden("deeplab*.npz")
def test_resized_labels(case: Case) -> None:
    for number, shape in enumerate(case["train_logit_shapes"].tolist()):
        expected = case.tensor(f"resized_label_{number}")
        assert torch.equal(resized_labels(case.tensor("label"), (shape[2], shape[3])), expected)


@pytest.mark.golden("deeplab*.npz")
def test_losses_and_gradients(case: Case) -> None:
    network = network_of(case).train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    losses = segmentation_losses(
        network.all_logits(case.tensor("input_bgr_chw")), case.tensor("label"), settings_of(backbone="any")
    )
    np.testing.assert_allclose(losses.detach().numpy(), case["losses"], rtol=1e-5)
    total = losses.sum() / ITERATIONS_PER_STEP
    np.testing.assert_allclose(total.item(), case["total_over_iter_size2"], rtol=1e-5)
    total.backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    expected = {our_name(name): norm for name, norm in case.json("grad_norm_json").items()}
    assert set(expected) <= set(gradients)
    norms = {name: float(torch.linalg.vector_norm(gradients[name].double())) for name in expected}
    assert norms == pytest.approx(expected, rel=GRADIENT_NORMS)


@pytest.mark.golden("deeplab_metric*.json")
def test_scores(golden: Path) -> None:
    case = json.loads(golden.read_text())
    fields = [("scores", case["n_class"])]
    fields += [(name, int(name.removeprefix("scores_n"))) for name in case if name.startswith("scores_n")]
    for name, classes in fields:
        expected = case[name]
        matrix = sum(
            confusion_matrix(np.array(prediction, np.uint8), np.array(truth, np.uint8), classes - 1)
            for prediction, truth in zip(case["pred"], case["gt"], strict=True)
        )
        scores = scores_of(matrix)
        assert scores.pixel_accuracy == pytest.approx(expected["Pixel Accuracy"], rel=1e-12)
        assert scores.recall == pytest.approx(expected["Mean Accuracy"], rel=1e-12)
        assert scores.miou == pytest.approx(expected["Mean IoU"], rel=1e-12)
        pixels = matrix.sum(axis=1)
        present = pixels > 0
        weighted = (pixels / pixels.sum() * scores.iou)[present].sum()
        assert weighted == pytest.approx(expected["Frequency Weighted IoU"], rel=1e-12)
        ious = [expected["Class IoU"][str(number)] for number in range(classes)]
        assert scores.iou[present] == pytest.approx(np.array(ious, float)[present], rel=1e-12)
        # A class that no mask shows has 0 in the authors' table where it is predicted; it counts in neither mean.
        assert np.isnan(scores.iou[~present]).all()
        assert not any(iou for iou, there in zip(ious, present, strict=True) if not there)


@pytest.mark.golden("deeplab_polylr*.json")
def test_learning_rates(golden: Path) -> None:
    case = json.loads(golden.read_text())
    optimisation = Optimisation(
        learning_rate=case["base_lr"], power=case["power"], decay_every=case["step_size"], head_factor=10.0
    )
    with torch.device("meta"):
        groups = DeepLabV2(build_trunk(RESNET101), ["any"]).parameter_groups(optimisation.head_factor)
    for iterations, expected in case["lr_after_step_at_iteration"].items():
        # What is set after the n-th iteration holds in the next one, which is number n counted from 0. Past the
        # end, the authors' rate stays.
        step = min(int(iterations), case["iter_max"])
        factor = learning_rate_factor(step, case["iter_max"], optimisation)
        rates = [optimisation.learning_rate * group["factor"] * factor for group in groups]
        assert rates == pytest.approx(expected, rel=1e-12, abs=0)
