"""With ``deterministic``, nothing on the device is added up in an order that differs from run to run."""

import pytest
import torch

from wsss_core.networks import resizing

from .compared import largest_deviations
from .machine import pretended_cuda
from .stages import STAGES, Place
from .tensor import CUDA

UNORDERED_OTHERWISE = {
    *("classifier cgnet", "classifier aeft", "cams advcam", "cams advcam, aeft", "affinity affinitynet"),
    *("affinity irn", "segmenter deeplab", "segmenter deeplabv2", "segmenter deeplabv3plus"),
    *("segmenter consistency, unlabelled", "walk irn"),
}
"""Of the stages, those that hold every operation without an order that any of them has."""


@pytest.mark.parametrize("name", [name for name in STAGES if not name.endswith("bfloat16")])
def test_with_deterministic_a_stage_adds_in_a_fixed_order(name, inputs, tmp_path):
    with pretended_cuda() as seen:
        STAGES[name](Place(tmp_path / "ordered", inputs, "cuda", deterministic=True))
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    computed = seen.operations["convolution"] + seen.operations["addcmul_"]
    assert (computed > 0) == (name != "classifier clip")  # which computes nothing there
    assert dict(seen.unordered) == {}


@pytest.mark.parametrize("name", sorted(UNORDERED_OTHERWISE))
def test_without_it_no_order_is_promised_and_values_are_the_same(name, inputs, tmp_path):
    with pretended_cuda() as seen:
        STAGES[name](Place(tmp_path / "any", inputs, "cuda"))
    assert sum(seen.unordered.values()) > 0
    with pretended_cuda():
        STAGES[name](Place(tmp_path / "ordered", inputs, "cuda", deterministic=True))
    allowed = 0.1 if name in ("segmenter deeplabv3plus", "segmenter consistency, unlabelled") else 1e-4  # in bfloat16
    deviations = largest_deviations(tmp_path / "any", tmp_path / "ordered")
    assert {file: deviation for file, deviation in deviations.items() if not deviation <= allowed} == {}


def test_an_operation_without_an_order_shows(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(resizing, "with_ordered_gradient", lambda maps, compute, rows, columns: compute(maps))
    with pretended_cuda() as seen:
        STAGES["classifier aeft"](Place(tmp_path, inputs, "cuda", deterministic=True))
    names = {operation.rpartition(": ")[2] for operation in seen.unordered}
    assert names == {"upsample_bilinear2d_backward", "_adaptive_avg_pool2d_backward"}


@pytest.mark.parametrize(
    ("unordered", "asked"),
    [
        (True, lambda x: torch.nn.functional.interpolate(x, (4, 5), mode="bicubic").sum().backward()),
        (True, lambda x: torch.nn.functional.interpolate(x, (4, 5), mode="bicubic", antialias=True).sum().backward()),
        (True, lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 2).sum().backward()),
        (True, lambda x: torch.nn.functional.cross_entropy(x, torch.ones(1, 3, 3, device=CUDA).long()).backward()),
        (False, lambda x: x[:, torch.zeros(2, device=CUDA).long()].sum().backward()),  # is sorted before
        (False, lambda x: x.cumsum(dim=1)),
        (False, lambda x: torch.nn.functional.max_pool2d(x, 2).sum().backward()),
    ],
)
def test_what_has_no_order_is_noted(unordered, asked):
    with pretended_cuda() as seen:
        torch.use_deterministic_algorithms(True)
        asked(torch.arange(18.0).reshape(1, 2, 3, 3).to(CUDA).requires_grad_())
    assert bool(seen.unordered) == unordered
