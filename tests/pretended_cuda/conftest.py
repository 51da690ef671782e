"""Inputs that the stages share."""

import pytest

from .stages import Inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    return Inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True)
def weights_in_one_order(monkeypatch):
    """In float32, trainings keep weights in another order on GPUs than on CPUs, which rounds otherwise."""
    import torch

    for module in ("loop", "frozen"):
        monkeypatch.setattr(f"wsss_core.training.{module}.memory_format", lambda *given: torch.contiguous_format)
