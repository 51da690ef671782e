"""Residual blocks that are computed a second time on the way back: the same results, fewer numbers kept."""

from functools import partial

import pytest
import torch

from wsss_core.config.networks import Trunk
from wsss_core.networks.batch_norm import fixed_statistics, freeze_batch_norm
from wsss_core.networks.recomputed import recompute_blocks
from wsss_core.networks.resnet38 import RESNET38_ARCHITECTURES, ResNet38Trunk
from wsss_core.networks.trunks import build_trunk

TRUNKS = {
    "resnet_small": partial(build_trunk, Trunk(network="resnet_small", output_stride=8)),
    "resnet50": partial(build_trunk, Trunk(network="resnet50", output_stride=16)),
    "resnet38_small": partial(ResNet38Trunk, RESNET38_ARCHITECTURES["resnet38_small"], dropout=(0.4, 0.5)),
}


def trained(build, recompute, frozen=False, twice=False, autocast=False):
    """Two steps of a trunk; its state, the gradients, and how many numbers were kept."""
    torch.manual_seed(0)
    network = build().train()
    if frozen:
        freeze_batch_norm(network)
    if recompute:
        assert recompute_blocks(network) > 0
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    for _ in range(2):
        images = torch.randn(2, 3, 40, 40)
        optimizer.zero_grad()
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=autocast),
        ):
            loss = network(images)[-1].float().square().mean()
            if twice:  # as AEFT sees erased images
                with fixed_statistics(network):
                    loss = loss + network(images * 0.5)[-1].float().square().mean()
        loss.backward()
        optimizer.step()
    return network.state_dict(), [weight.grad for weight in network.parameters()], kept


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"twice": True}, {"autocast": True}], ids=str)
def test_results_are_the_same_to_the_bit(name, options):
    state, gradients, kept = trained(TRUNKS[name], recompute=False, **options)
    state_again, gradients_again, kept_again = trained(TRUNKS[name], recompute=True, **options)
    assert state.keys() == state_again.keys()
    for key, value in state.items():  # the statistics of batch normalisation, and the number of batches, too
        assert torch.equal(value, state_again[key]), key
    for one, other in zip(gradients, gradients_again, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    assert kept_again < kept / 3


def test_without_gradients_nothing_is_kept_back():
    network = TRUNKS["resnet_small"]().eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = network(images)
        recompute_blocks(network)
        assert all(torch.equal(one, other) for one, other in zip(network(images), expected, strict=True))


def test_networks_without_known_blocks_stay_as_they_are():
    network = build_trunk(Trunk(network="vgg16_small"))
    kinds = [type(part) for part in network.modules()]
    assert recompute_blocks(network) == 0 and [type(part) for part in network.modules()] == kinds
