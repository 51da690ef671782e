import json

import pytest
import torch
from torch.nn import functional

from tests.conftest import GOLDEN
from tests.refinement.tiny_data import write_trunk
from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks.irn import build_irn, from_authors, load_irn, own_name, save_irn
from wsss_core.networks.weights import trainable

SMALL = Trunk(network="resnet_small", output_stride=8)


@pytest.mark.parametrize(
    "trunk", [SMALL, Trunk(network="resnet18"), Trunk(network="resnet34", output_stride=8, dilated=True)]
)
@pytest.mark.parametrize("size", [(32, 40), (33, 47), (5, 1)])
def test_grid(trunk, size):
    logits, displacements = build_irn(trunk, 64)(torch.randn(2, 3, *size))
    grid = tuple(-(-side // 4) for side in size)
    assert logits.shape == (2, *grid) and displacements.shape == (2, 2, *grid)


def test_padding_and_flipping_of_an_image():
    torch.manual_seed(0)
    network = build_irn(SMALL, 48).eval()
    network.displacement_mean.copy_(torch.tensor([0.5, -2.0]))
    image = torch.randn(3, 30, 41)
    boundary, displacements = network.infer(image)
    logits, raw = network(functional.pad(image, (0, 7, 0, 18))[None])
    mirrored, _ = network(functional.pad(image.flip(2), (0, 7, 0, 18))[None])
    mean = (logits[0, :8, :11] + mirrored[0, :8, :11].flip(1)) / 2
    torch.testing.assert_close(boundary, mean.sigmoid())
    torch.testing.assert_close(displacements[0], raw[0, 0, :8, :11] - 0.5)
    torch.testing.assert_close(displacements[1], raw[0, 1, :8, :11] + 2)


def test_an_image_beyond_the_crop_is_cut_if_wanted():
    network, image = build_irn(SMALL, 32), torch.randn(3, 40, 20)
    boundary, displacements = network.infer(image)
    assert boundary.shape == (8, 5) and displacements.shape == (2, 8, 5)
    torch.testing.assert_close(boundary, network.infer(image[:, :32])[0])
    for rows in (40, 10):  # beyond the crop, and within
        part = image[:, :rows]
        boundary, displacements = network.infer(part, cut=False)
        padded = functional.pad(torch.stack([part, part.flip(2)]), (0, 12, 0, max(32 - rows, 0)))
        logits, raw = network(padded)
        cells = -(-rows // 4)
        mean = (logits[0, :cells, :5] + logits[1, :cells, :5].flip(1)) / 2
        torch.testing.assert_close(boundary, mean.sigmoid())
        torch.testing.assert_close(displacements, raw[0, :, :cells, :5])


def test_boundaries_alone_are_the_same():
    network, image = build_irn(SMALL, 32), torch.randn(3, 40, 20)
    assert torch.equal(network.boundary_logits(image[None]), network(image[None])[0])
    for cut in (True, False):
        assert torch.equal(network.infer_boundary(image, cut), network.infer(image, cut)[0])


def test_only_the_branches_learn():
    network = build_irn(SMALL, 32).train()
    assert not network.trunk.bn1.training
    branches = [*network.boundary_parameters(), *network.displacement_parameters()]
    assert {id(parameter) for parameter in branches} == {id(parameter) for parameter in trainable(network)}
    assert len(branches) == len(set(branches))
    logits, displacements = network(torch.randn(1, 3, 32, 32))
    (logits.sum() + displacements.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in branches)
    assert all(parameter.grad is None for parameter in network.trunk.parameters())


def test_runs_in_float64():
    network = build_irn(SMALL, 32).double()
    boundary, displacements = network.infer(torch.randn(3, 24, 24, dtype=torch.float64))
    assert boundary.dtype == displacements.dtype == torch.float64


@pytest.mark.parametrize("displacement", [False, True])
def test_saved_and_loaded(tmp_path, displacement):
    network = build_irn(SMALL, 40, 7, displacement).eval()
    network.displacement_mean.fill_(3)
    save_irn(tmp_path / "weights.safetensors", network, SMALL)
    loaded = load_irn(tmp_path / "weights.safetensors")
    assert (loaded.crop_size, loaded.radius, loaded.displacement, loaded.training) == (40, 7, displacement, False)
    image = torch.randn(3, 24, 24)
    for own, again in zip(network.infer(image), loaded.infer(image), strict=True):
        torch.testing.assert_close(again, own, rtol=0, atol=0)


def test_weights_of_something_else_are_reported(tmp_path):
    with pytest.raises(UserError, match="weights of a backbone, not of a irn"):
        load_irn(write_trunk(tmp_path / "trunk.safetensors"))


def test_authors_names_are_ours_one_to_one():
    names = json.loads((GOLDEN / "names_irn.json").read_text())["names"]
    state = {name: torch.full(shape, float(number)) for number, (name, shape) in enumerate(names.items())}
    second_names = {name: torch.ones(1) for name in ("stage1.0.weight", "backbone.0.0.weight", "path_indices3")}
    own = from_authors(state | second_names)
    network = build_irn(Trunk(network="resnet50"), 512).state_dict()
    assert {name: tensor.shape for name, tensor in own.items()} == {name: t.shape for name, t in network.items()}
    assert len({own_name(name) for name in names}) == len(names)
    counters = [name for name in own if name.endswith("num_batches_tracked")]
    assert len(own) == len(names) + len(counters) and not any(own[name] for name in counters)


@pytest.mark.parametrize(
    ("trunk", "widths"),
    [
        (SMALL, (64, 128, 256, 256, 256)),
        (Trunk(network="vgg16_small"), (128, 256, 256, 256)),  # no map of a stem
        (Trunk(network="timm", model="mobilenetv3_small_050"), (64, 128, 256, 256, 256)),
        (Trunk(network="timm", model="convnext_atto"), (128, 256, 256, 256)),
    ],
    ids=["resnet_small", "vgg16_small", "mobilenet", "convnext"],
)
def test_both_branches_see_all_maps_of_any_trunk(trunk, widths):
    network = build_irn(trunk, 64)
    assert tuple(part.convolution.out_channels for part in network.displacement_reductions) == widths
    assert tuple(part.convolution.in_channels for part in network.boundary_reductions) == network.trunk.stage_channels
    logits, displacements = network(torch.randn(2, 3, 33, 47))
    assert logits.shape == (2, 9, 12) and displacements.shape == (2, 2, 9, 12)
