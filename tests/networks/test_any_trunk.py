"""Every method on every kind of trunk: a step of training, a file, and what is made with it."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from wsss_core.cams import methods
from wsss_core.cams.generate_cams import prepared_for_drawing
from wsss_core.classifiers import objective as objectives
from wsss_core.config.cams import AdvCams, MultiscaleCams, SeenetCams
from wsss_core.config.classifiers import AeftClassifier, CgnetClassifier, OrdinaryClassifier, SeenetClassifier
from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import AffinityNet, Irn
from wsss_core.config.segmentation import DeepLab, DeepLabV2, DeepLabV3Plus, LargeFov, Prediction, PspNet
from wsss_core.config.training import Augmentation
from wsss_core.files.cam_store import ImageCams
from wsss_core.networks.batch_norm import FrozenBatchNorm, freeze_batch_norm
from wsss_core.networks.bfloat16 import with_bfloat16_trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier, save_classifier
from wsss_core.networks.folded import folded_for_inference
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.networks.weights import trainable
from wsss_core.refinement.affinity_method import AFFINITY_METHODS, load_affinity
from wsss_core.segmentation.class_probabilities import class_probabilities, prediction_network
from wsss_core.segmentation.losses import segmentation_losses

CLASSES = ("a", "b", "c")
TRUNKS = {
    "resnet_small": {"network": "resnet_small", "output_stride": 8},
    "resnet38_small": {"network": "resnet38_small", "output_stride": 8},
    "vgg16_small": {"network": "vgg16_small", "output_stride": 8, "dilated": True},
    "resnet18": {"network": "timm", "model": "resnet18", "output_stride": 16},
    "efficientnet": {"network": "timm", "model": "tf_efficientnet_lite0", "output_stride": 16},
    "mobilenet": {"network": "timm", "model": "mobilenetv3_small_050", "output_stride": 16, "dilated": True},
    "convnext": {"network": "timm", "model": "convnextv2_atto", "output_stride": 8},
    "vit": {"network": "timm", "model": "test_vit", "output_stride": 16},
}
"""The package's own, and of timm a residual network, two depthwise ones, one without batch normalisation, and a vision
transformer."""
OF_TIMM = [name for name, settings in TRUNKS.items() if settings["network"] == "timm"]
OBJECTIVES = {
    "ordinary": OrdinaryClassifier(backbone="any"),
    "seenet": SeenetClassifier(backbone="any", branch_channels=16),
    "cgnet": CgnetClassifier(backbone="any", ordinary="any"),
    "aeft": AeftClassifier(backbone="any", feature_channels=8, bins=(1, 2), fewest_hard_triplets=1, margin=1e9),
}
CAM_METHODS = {
    "multiscale": MultiscaleCams(classifier="any", scales=(1.0,)),
    "advcam": AdvCams(classifier="any", scales=(1.0,), steps=2),
    "seenet": SeenetCams(classifier="any", size=32),
}
SEGMENTERS = {
    "deeplab": DeepLab(backbone="any", atrous_rates=(1, 2)),
    "deeplab, skip": DeepLab(backbone="any", atrous_rates=(1, 2), low_level_skip=True),
    "largefov": LargeFov(backbone="any", atrous_rate=2, channels=16),
    "deeplabv2": DeepLabV2(backbone="any", atrous_rates=(1, 2), input_scales=(0.5,)),
    "deeplabv3plus": DeepLabV3Plus(backbone="any", atrous_rates=(1, 2)),
    "pspnet": PspNet(backbone="any"),
}
any_trunk = pytest.mark.parametrize("name", TRUNKS)


@cache
def trunk_of(name: str) -> Trunk:
    return Trunk(**TRUNKS[name])


def with_statistics(network: nn.Module) -> nn.Module:
    """Its norms as if they had seen something."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return network


def classifier(name: str, objective: str = "ordinary") -> ClassMapClassifier:
    torch.manual_seed(0)
    network = objectives.OBJECTIVES.find(objective).build_network(OBJECTIVES[objective], trunk_of(name), CLASSES)
    return with_statistics(network).eval()


def an_image(height: int = 33, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return (torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected)).item()


def assert_all_learn(loss: torch.Tensor, parameters: list[nn.Parameter]) -> None:
    """Loss and gradients are finite, and there is a gradient for each of the parameters."""
    assert loss.isfinite()
    loss.backward()
    for parameter in parameters:
        assert parameter.grad is not None and parameter.grad.isfinite().all()


@pytest.mark.parametrize("objective", OBJECTIVES)
@any_trunk
def test_a_classifier_makes_a_step_and_is_read_again(name, objective, tmp_path):
    settings, network = OBJECTIVES[objective], classifier(name, objective).train()
    ordinary = classifier(name) if objective == "cgnet" else None
    made = objectives.OBJECTIVES.find(objective)(network, settings, ordinary)
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    losses = made.losses(images, labels, epoch=30)
    assert all(loss.isfinite() for loss in losses.values())
    assert_all_learn(losses["loss"], trainable(network))
    torch.optim.SGD(trainable(network), 1e-6).step()
    save_classifier(tmp_path / "weights.safetensors", network)
    again = load_classifier(tmp_path / "weights.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(again(images), network.eval()(images), rtol=0, atol=0)


@pytest.mark.parametrize("method", CAM_METHODS)
@any_trunk
def test_maps_are_drawn_and_those_of_the_folded_copy_are_the_same(name, method):
    """In float64, in which AdvCAM's climb does not multiply rounding errors."""
    settings, height, width = CAM_METHODS[method], 33, 40
    objective = "seenet" if method == "seenet" else "ordinary"
    network = classifier(name, objective).double().requires_grad_(False)
    draw = methods.CAM_METHODS.find(method)
    expected = draw(network, an_image(height, width), [0, 2], settings).normalised()
    found = draw(folded_for_inference(network), an_image(height, width), [0, 2], settings).normalised()
    assert [maps.shape for maps in found] == [(2, 9, 10), (2, height, width)]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    assert all(maps.isfinite().all() for maps in found)


@pytest.mark.parametrize("folded", [False, True], ids=["as it is", "folded"])
@pytest.mark.parametrize("name", OF_TIMM)
def test_maps_in_bfloat16(name, folded):
    settings = (CAM_METHODS["multiscale"] if folded else CAM_METHODS["seenet"]).model_copy(
        update={"arithmetic": "bfloat16"}
    )
    network = classifier(name).requires_grad_(False)
    made, images = prepared_for_drawing(copy.deepcopy(network), settings), torch.randn(2, 3, 33, 40)
    expected, found = network.class_maps(images), made.class_maps(images)
    assert found.dtype == torch.float32
    assert 1e-4 < relative_error(found, expected) < 0.1
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(made.evidence(images)[1].sum(), images)
    assert gradient.dtype == torch.float32 and gradient.isfinite().all() and gradient.abs().max() > 0


def test_linear_layers_and_layer_normalisation_have_the_dtypes_that_a_gpu_wants():
    """CUDA's layer normalisation and linear layers take no two dtypes at once; on CPUs some do."""
    torch.manual_seed(0)
    network = ClassMapClassifier(Trunk(network="timm", model="convnext_tiny"), CLASSES).eval().requires_grad_(False)
    made, seen = with_bfloat16_trunk(copy.deepcopy(network)), set()
    for part in made.trunk._trunk[0].modules():
        if isinstance(part, nn.Linear | nn.LayerNorm):
            part.register_forward_hook(
                lambda layer, given, _: seen.add((type(layer), given[0].dtype, layer.weight.dtype))
            )
    images = torch.randn(1, 3, 32, 32)
    assert relative_error(made.class_maps(images), network.class_maps(images)) < 0.1
    assert {kind.__name__ for kind, _, _ in seen} == {"Linear", "LayerNorm", "LayerNorm2d"}
    assert all(given == own for _, given, own in seen)


@pytest.mark.parametrize(
    "settings",
    [
        AffinityNet(backbone="any", stride=4, radius=2, augmentation=Augmentation(crop=32)),
        Irn(backbone="any", radius=2, augmentation=Augmentation(crop=32)),
        Irn(backbone="any", radius=2, augmentation=Augmentation(crop=32), displacement=False),
    ],
    ids=["affinitynet", "irn", "irn without displacement"],
)
@any_trunk
def test_an_affinity_learns_and_is_read_again_and_walks(name, settings, tmp_path):
    torch.manual_seed(0)
    method = AFFINITY_METHODS.find(settings.method).build(settings, trunk_of(name))
    with_statistics(method.network).train()
    method.begin(torch.device("cpu"), "float32")
    labels = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels[:, 2:6, 2:6] = 1
    labels[1, 6:] = 255
    losses = method.losses(torch.randn(2, 3, 32, 32), labels)
    assert all(loss.isfinite() for loss in losses.values())
    learning = [parameter for group in method.parameter_groups(settings) for parameter in group["params"]]
    assert learning
    assert_all_learn(losses["loss"], learning)
    torch.optim.SGD(learning, 1e-6).step()
    method.network.eval()
    method.save(tmp_path / "weights.safetensors", trunk_of(name))
    again, image = load_affinity(tmp_path / "weights.safetensors"), an_image()
    cam = np.random.default_rng(1).random((2, 9, 10), np.float32)
    cams = ImageCams("image", np.array([0, 2]), cam, None, *image.shape[:2])
    walked = [made.spread(image, cams, settings.walk, None).cam for made in (method, again)]
    assert walked[1].shape == (2, 9, 10) and np.isfinite(walked[1]).all() and walked[1].max() > 0
    np.testing.assert_allclose(walked[1], walked[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("segmenter", SEGMENTERS)
@any_trunk
def test_a_segmenter_learns_and_predicts_and_is_read_again(name, segmenter, tmp_path):
    torch.manual_seed(0)
    settings = SEGMENTERS[segmenter]
    network = with_statistics(build_segmenter(settings.network, settings.options, trunk_of(name), CLASSES)).train()
    if settings.freeze_batch_norm:
        freeze_batch_norm(network.trunk)
    learning = [parameter for group in network.parameter_groups(10.0) for parameter in group["params"]]
    labels = torch.randint(0, 4, (2, 32, 32))
    loss = segmentation_losses(network.all_logits(torch.randn(2, 3, 32, 32)), labels, settings, None).sum()
    assert_all_learn(loss, learning)
    torch.optim.SGD(learning, 1e-6).step()
    network.requires_grad_(False).eval()
    save_segmenter(tmp_path / "weights.safetensors", network)
    again = load_segmenter(tmp_path / "weights.safetensors")
    prediction = Prediction(scales=(1.0,), crf=None)
    with torch.inference_mode():
        expected = class_probabilities(network, an_image(), prediction)
        torch.testing.assert_close(class_probabilities(again, an_image(), prediction), expected, rtol=0, atol=0)
        found = class_probabilities(prediction_network(again, prediction), an_image(), prediction)
        assert found.shape == (4, 33, 40)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        in_bfloat16 = prediction.model_copy(update={"arithmetic": "bfloat16"})
        with torch.autocast("cpu", torch.bfloat16):
            logits = prediction_network(again, in_bfloat16)(torch.ones(1, 3, 33, 40))
        assert relative_error(logits, again(torch.ones(1, 3, 33, 40))) < 0.1


@pytest.mark.parametrize("name", ["resnet_small", "efficientnet", "convnext"])
@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_all_of_a_trunk_learns_but_batch_normalisation(name, segmenter):
    """deeplab-pytorch optimises convolutions; a ConvNeXt has linear layers and layer normalisation, too."""
    settings = SEGMENTERS[segmenter]
    network = build_segmenter(settings.network, settings.options, trunk_of(name), CLASSES)
    freeze_batch_norm(network.trunk)
    learning = {id(parameter) for group in network.parameter_groups(10.0) for parameter in group["params"]}
    norms = {parameter for part in network.trunk.modules() if isinstance(part, FrozenBatchNorm)
             for parameter in part.parameters()}  # fmt: skip
    assert learning == {id(parameter) for parameter in network.parameters() if parameter not in norms}
    numbers = [len(group["params"]) for group in network.parameter_groups(10.0)]
    assert sum(numbers) == len(learning)


def test_linear_biases_learn_as_those_of_convolutions():
    trunk = Trunk(network="timm", model="convnext_tiny")
    network = build_segmenter("largefov", SEGMENTERS["largefov"].options, trunk, CLASSES)
    linear = [part for part in network.trunk.modules() if isinstance(part, nn.Linear)]
    biases = {id(parameter) for parameter in network.parameter_groups(10.0)[1]["params"]}
    assert linear and {id(part.bias) for part in linear} <= biases


@pytest.mark.parametrize("name", ["efficientnet", "mobilenet", "resnet18"])
def test_frozen_batch_normalisation_stays_so(name):
    """Through ``train()`` and copies; timm's has an activation behind it."""
    network = classifier(name)
    freeze_batch_norm(network)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(image)
        for made in (network, copy.deepcopy(network), copy.deepcopy(copy.deepcopy(network).train()).train()):
            before = copy.deepcopy(made.state_dict())
            made.train()
            norms = [part for part in made.trunk.modules() if isinstance(part, nn.BatchNorm2d)]
            assert norms and not any(part.training for part in norms)
            assert not any(parameter.requires_grad for part in norms for parameter in part.parameters())
            torch.testing.assert_close(made(image), expected)
            torch.testing.assert_close(made.state_dict(), before, rtol=0, atol=0)
