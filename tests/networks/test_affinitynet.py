import pytest
import torch
from torch.nn import functional

from tests.refinement.tiny_data import TRUNK, write_trunk
from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks.affinitynet import AffinityNetwork, load_affinitynet, save_affinitynet
from wsss_core.networks.trunks import build_trunk


@pytest.mark.parametrize("backbone", [TRUNK, Trunk(network="resnet18", output_stride=16)])
@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("size", [(32, 40), (33, 47), (1, 1)])
def test_grid(backbone, stride, size):
    network = AffinityNetwork(build_trunk(backbone), stride, radius=5).eval()
    features = network(torch.randn(2, 3, *size))
    assert features.shape[0] == 2
    assert features.shape[2:] == tuple(-(-side // stride) for side in size)
    assert features.min() >= -1


def test_layers_of_the_paper_on_large_trunks():
    network = AffinityNetwork(build_trunk(Trunk(network="resnet50")), 8, 5)
    assert [reduction.out_channels for reduction in network.reductions] == [64, 128, 256]
    assert network.mixing.out_channels == 448


def test_forward_is_the_formula():
    network = AffinityNetwork(build_trunk(TRUNK), 8, radius=5).eval()
    images = torch.randn(1, 3, 32, 32)
    _, second, third, fourth = network.trunk(images)
    second = functional.elu(network.reductions[0](second))
    parts = [functional.avg_pool2d(second, 2)]  # stride 4 in the small trunk
    parts += [functional.elu(layer(x)) for layer, x in zip(network.reductions[1:], (third, fourth), strict=True)]
    torch.testing.assert_close(network(images), functional.elu(network.mixing(torch.cat(parts, dim=1))))


def test_all_parameters_are_either_new_or_the_trunks():
    network = AffinityNetwork(build_trunk(TRUNK), 8, radius=5)
    own = {id(parameter) for parameter in network.new_parameters()}
    trunk = {id(parameter) for parameter in network.trunk.parameters()}
    assert own | trunk == {id(parameter) for parameter in network.parameters()} and not own & trunk


@pytest.mark.parametrize("border_pairs", [False, True])
def test_saved_and_loaded(tmp_path, border_pairs):
    network = AffinityNetwork(build_trunk(TRUNK), 4, 6, border_pairs).eval()
    save_affinitynet(tmp_path / "weights.safetensors", network, TRUNK)
    loaded = load_affinitynet(tmp_path / "weights.safetensors")
    assert (loaded.stride, loaded.radius, loaded.border_pairs, loaded.training) == (4, 6, border_pairs, False)
    images = torch.randn(1, 3, 24, 24)
    torch.testing.assert_close(loaded(images), network(images), rtol=0, atol=0)


def test_a_file_of_another_method_with_the_same_network(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_affinitynet(path, AffinityNetwork(build_trunk(TRUNK), 4, 6), TRUNK, kind="mine")
    assert load_affinitynet(path, kind="mine").radius == 6
    with pytest.raises(UserError, match="weights of a mine, not of a affinitynet"):
        load_affinitynet(path)


def test_weights_of_something_else_are_reported(tmp_path):
    with pytest.raises(UserError, match="weights of a backbone, not of a affinitynet"):
        load_affinitynet(write_trunk(tmp_path / "trunk.safetensors"))
