import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import distributed, nn
from torch.distributed import HashStore

from wsss_core.errors import UserError
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.training.distributed import SynchronisedBatchNorm2d, SynchronisedBatchNormAct2d, data_parallel


@pytest.fixture
def alone_in_a_group():
    distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_shared_normalisation_is_torchs_in_every_precision(alone_in_a_group, dtype):
    """Under autocast, features come in bfloat16; statistics of thousands of them need more digits."""
    torch.manual_seed(0)
    features = (torch.randn(4, 3, 32, 32) * 3 + 10).to(dtype).requires_grad_()
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    plain, shared = nn.BatchNorm2d(3).to(exact), SynchronisedBatchNorm2d(3).to(exact)
    direction = torch.randn(4, 3, 32, 32)
    results, gradients = [], []
    for module in (plain, shared):
        features.grad = None
        output = module(features)
        (output * direction).sum().backward()
        results.append(output)
        gradients.append(features.grad)
    assert results[1].dtype == dtype
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients, rtol=2e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-3)
    torch.testing.assert_close(plain.state_dict(), shared.state_dict())


def test_shared_normalisation_with_an_activation_is_timms(alone_in_a_group):
    torch.manual_seed(0)
    plain = BatchNormAct2d(3, act_layer=nn.ReLU6).double()
    shared = copy.deepcopy(plain)
    data_parallel(shared, lambda batch, epoch: {})
    assert type(shared) is SynchronisedBatchNormAct2d
    features, direction = torch.randn(2, 4, 3, 8, 8, dtype=torch.float64) * 3
    gradients = []
    for _ in range(2):
        results = [module(features) for module in (plain, shared)]
        torch.testing.assert_close(*results)
        assert results[0].min() == 0
    for module in (plain, shared):
        given = features.clone().requires_grad_()
        (module(given) * direction).sum().backward()
        gradients.append([given.grad, module.weight.grad, module.bias.grad])
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(plain.state_dict(), shared.state_dict())
    torch.testing.assert_close(shared.eval()(features), plain.eval()(features))


def test_frozen_normalisation_is_not_shared_and_other_kinds_are_refused(alone_in_a_group):
    class Own(nn.BatchNorm2d):
        """Might do anything."""

    frozen = nn.Sequential(BatchNormAct2d(3))
    freeze_batch_norm(frozen)
    kind = type(frozen[0])
    data_parallel(frozen, lambda batch, epoch: {})
    assert type(frozen[0]) is kind and not frozen.train()[0].training
    with pytest.raises(UserError, match="on several GPUs a Own would see only one GPU's images: use one GPU"):
        data_parallel(nn.Sequential(Own(3)), lambda batch, epoch: {})
