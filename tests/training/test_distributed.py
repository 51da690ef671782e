import pytest
import torch
from torch import distributed, nn
from torch.distributed import HashStore

from wsss_core.training.distributed import SynchronisedBatchNorm2d


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
