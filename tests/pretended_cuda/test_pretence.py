"""The test of the tests: what a GPU would refuse is refused, and device handling that is broken on purpose is found."""

import numpy as np
import pytest
import torch

from wsss_core.cams import climbing
from wsss_core.classifiers import cgnet
from wsss_core.jobs import devices
from wsss_core.segmentation import perturbations
from wsss_core.training import loop

from .compared import largest_deviations
from .machine import pretended_cuda
from .stages import STAGES, Place
from .tensor import CUDA


@pytest.fixture
def there():
    with pretended_cuda():
        yield torch.arange(6.0).reshape(2, 3).to(CUDA)


def test_it_says_where_it_lies_and_computes(there):
    assert there.device == CUDA and there.is_cuda and (there * 2).device == CUDA
    assert there[:, 1].sum().item() == 5 and torch.zeros(2, device="cuda:0").device == CUDA
    assert (there * torch.tensor(2.0)).tolist() == [[0, 2, 4], [6, 8, 10]]  # one number may be the CPU's
    grown = torch.nn.Linear(3, 1).to(CUDA)
    grown(there).sum().backward()
    assert grown.weight.grad.device == CUDA and grown.weight.grad.tolist() == [[3, 5, 7]]


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.where(torch.ones(2, 3, dtype=torch.bool), x, 0),
        lambda x: torch.cat([x, torch.ones(1, 3)]),
        lambda x: torch.nn.functional.conv1d(x[None], torch.ones(1, 2, 1)),
        lambda x: torch.ones(2, 3)[x > 1],
        lambda x: torch.stack([x.sum(), torch.tensor(1.0)]),
        lambda x: torch.rand(3, device=CUDA, generator=torch.Generator()),
        lambda x: x.normal_(generator=torch.Generator()),
        lambda x: x.pin_memory(),
    ],
)
def test_what_cuda_refuses_is_refused(there, refused):
    with pytest.raises(RuntimeError, match=r"device|cpu|pin"):
        refused(there)


def test_there_is_no_numpy(there):
    for asked in (there.numpy, lambda: np.asarray(there), there.detach().numpy):
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            asked()


@pytest.mark.parametrize(
    ("waits", "asked"),
    [
        (1, lambda x: x.sum().item()),
        (1, lambda x: bool((x > 1).all())),
        (1, lambda x: x.tolist()),
        (1, lambda x: x.cpu()),
        (1, lambda x: x[x > 1]),
        (1, lambda x: x[torch.tensor([0, 1])]),
        (1, lambda x: x[[0, 1]]),
        (1, lambda x: x.nonzero()),
        (1, lambda x: torch.ones(2).to(CUDA)),
        (1, lambda x: torch.ones(2).to(CUDA, non_blocking=True)),
        (1, lambda x: torch.tensor([1, 2], device=CUDA)),
        (0, lambda x: torch.ones(2).pin_memory().to(CUDA, non_blocking=True)),
        (0, lambda x: x.to("cpu", non_blocking=True)),
        (0, lambda x: x.masked_fill(x > 1, 0).argmax(dim=0)),
        (0, lambda x: x.__setitem__(x > 1, 0)),
        (0, lambda x: x[:, x.argmax(dim=1)]),
    ],
)
def test_waits_are_noted(waits, asked):
    with pretended_cuda() as seen:
        given = torch.arange(6.0).reshape(2, 3).to(CUDA)
        seen.waits.clear()
        asked(given)
    assert sum(seen.waits.values()) == waits


def test_torch_is_as_before_afterwards():
    before = torch.tensor, torch.cuda.is_available, torch.Tensor.pin_memory, torch.load, torch.backends.cudnn.enabled
    with pretended_cuda():
        assert torch.cuda.is_available()
    after = torch.tensor, torch.cuda.is_available, torch.Tensor.pin_memory, torch.load, torch.backends.cudnn.enabled
    assert after == before


def stays(batch, device):
    """A batch that nobody brings to the device."""
    return batch


def mask_of_the_cpu(*given, erasing_mask=cgnet.erasing_mask):
    return erasing_mask(*given).cpu()


def noise_of_a_generator(features):
    return features * torch.rand(features.shape, device=features.device, generator=torch.Generator())


def arrived_too_early(self):
    """The device's tensor in place of the host's."""
    return self.there


def moved_nowhere(tensor, device):
    """As if the copy had not been waited for."""
    return torch.zeros_like(tensor, device=device)


@pytest.mark.parametrize(
    ("stage", "owner", "name", "fault", "said"),
    [
        ("classifier ordinary", loop, "_to_device", stays, "same device"),
        ("classifier cgnet", cgnet, "erasing_mask", mask_of_the_cpu, "same device"),
        ("segmenter consistency", perturbations, "noise", noise_of_a_generator, "generator"),
        ("cams advcam", devices.OnTheWay, "arrived", arrived_too_early, "can't convert cuda:0"),
    ],
)
def test_a_fault_ends_a_stage(stage, owner, name, fault, said, inputs, tmp_path, monkeypatch):
    if stage.startswith("cams"):
        inputs.made("classifier ordinary")
    if stage == "classifier cgnet":
        inputs.made("classifier ordinary, resnet38")
    init = devices.OnTheWay.__init__

    def keeps(self, tensor):
        init(self, tensor)
        self.there = tensor

    monkeypatch.setattr(devices.OnTheWay, "__init__", keeps)
    monkeypatch.setattr(owner, name, fault)
    with pretended_cuda(), pytest.raises((RuntimeError, TypeError), match=said):
        STAGES[stage](Place(tmp_path, inputs, "cuda"))


def test_lost_values_show_in_what_is_made(inputs, tmp_path, monkeypatch):
    STAGES["cams multiscale"](Place(tmp_path / "cpu", inputs, "cpu"))
    monkeypatch.setattr("wsss_core.inference.scaled_images.moved", moved_nowhere)
    with pretended_cuda():
        STAGES["cams multiscale"](Place(tmp_path / "cuda", inputs, "cuda"))
    assert max(largest_deviations(tmp_path / "cuda", tmp_path / "cpu").values()) > 0.01


def test_a_new_wait_in_a_climb_shows(inputs, tmp_path, monkeypatch):
    climbed = climbing._climbed

    def until_it_is_steep(images, gradient, step_size):
        assert gradient.abs().max().item() >= 0
        return climbed(images, gradient, step_size)

    monkeypatch.setattr(climbing, "_climbed", until_it_is_steep)
    inputs.made("classifier ordinary")
    with pretended_cuda() as seen:
        STAGES["cams advcam"](Place(tmp_path, inputs, "cuda"))
    assert seen.waits_within("cams/advcam.py, climb") != []
