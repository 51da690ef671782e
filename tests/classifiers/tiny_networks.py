"""Classifiers on a trunk of one convolution, in float64, and batches for them."""

from typing import TypeVar

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier

CLASSES = ("a", "b", "c", "d", "e")
Network = TypeVar("Network", bound=ClassMapClassifier)


class TinyTrunk(nn.Module):
    """One convolution of stride 4."""

    channels, strides = (6,), (4,)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, self.channels[-1], 5, stride=4, padding=2)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.convolution(images).relu()]


def tiny(kind: type[Network], seed: int, **options) -> Network:
    """A classifier of this kind, ready to be trained, with dropout off."""
    torch.manual_seed(seed)
    network = kind(Trunk(network="vgg16_small"), CLASSES, **options)
    network.trunk = TinyTrunk()
    network.add_layers(TinyTrunk.channels[-1], len(CLASSES))
    network.double().eval()
    for parameter in network.parameters():
        # Large enough that maps have both signs and the gates are not all about a half.
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64) * 0.5
    return network


@st.composite
def batches(draw, largest: int = 4) -> tuple[Tensor, Tensor]:
    """Up to ``largest`` images (B, 3, H, W), and labels (B, K) of one to four classes each."""
    number, height, width = draw(st.integers(1, largest)), draw(st.integers(5, 23)), draw(st.integers(5, 23))
    shown = [draw(st.sets(st.integers(0, len(CLASSES) - 1), min_size=1, max_size=4)) for _ in range(number)]
    labels = torch.tensor([[float(k in there) for k in range(len(CLASSES))] for there in shown], dtype=torch.float64)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    return torch.randn(number, 3, height, width, generator=generator, dtype=torch.float64), labels


def as_lists(labels: Tensor) -> list[list[int]]:
    """Labels (B, K) as the oracles take them."""
    return [[int(value) for value in row] for row in labels]


def assert_same(network: nn.Module, losses: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Losses have the same names and values, and the same gradient at every weight."""
    assert set(losses) == set(expected)
    for name, loss in losses.items():
        # A loss that is switched off is a float32 zero.
        torch.testing.assert_close(loss, expected[name], rtol=1e-9, atol=1e-11, check_dtype=False)
    weights = list(network.parameters())
    for own, other in zip(
        *(torch.autograd.grad(result["loss"], weights, allow_unused=True) for result in (losses, expected)),
        strict=True,
    ):
        assert (own is None or not own.any()) if other is None else own is not None
        if own is not None and other is not None:
            torch.testing.assert_close(own, other, rtol=1e-8, atol=1e-10)
