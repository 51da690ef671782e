"""Saves the state of a training: after each epoch, and when SIGTERM stops it within one."""

import copy
import logging
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.training.distributed import (
    any_process,
    is_main_process,
    number_of_processes,
    of_all_processes,
    process_number,
    same_in_all_processes,
)

log = logging.getLogger(__name__)


@dataclass
class Position:
    """A place in a training, between two steps."""

    curve: list[dict[str, float]] = field(default_factory=list)
    """A row for each finished epoch."""
    step: int = 0
    """Finished steps of the current epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the losses over these steps, by name."""

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return len(self.curve)

    def add(self, losses: Mapping[str, float]) -> None:
        """Add a step's losses to the sums."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value


class Checkpoint:
    """A file with the state of network, optimiser and random generators at a position."""

    def __init__(self, path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """Read and write nothing yet."""
        self.path, self.network, self.optimizer, self.device = path, network, optimizer, device

    def save(self, position: Position) -> None:
        """Write the state; all processes of a training have to call this, and it waits for all of them.

        Raises:
            UserError: the disk is full.
        """
        generators = of_all_processes(torch.get_rng_state())
        if self.device.type == "cuda":
            generators += of_all_processes(torch.cuda.get_rng_state(self.device))
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": generators,
            "curve": position.curve,
            "step": position.step,
            "sums": position.sums,
        }
        if is_main_process():
            # Through Python's file, not the path: torch's own errors do not say why a file cannot be written.
            with atomic_path(self.path) as temporary, open(temporary, "wb") as file:
                torch.save(state, file)
        any_process(False)

    def load(self, steps: Sequence[int] | None = None) -> Position:
        """Restore network, optimiser and random generators, if there is a saved state.

        Args:
            steps: the number of steps of each epoch, to check the position; None accepts any.

        Returns:
            The saved position; the beginning if there is none or it is damaged.

        Raises:
            UserError: another job is writing the file at the same time.
        """
        state = self._read(steps)
        position = Position()
        if state is not None and self._restore(state):
            position = Position(state["curve"], state["step"], state["sums"])
        if not same_in_all_processes(position.epoch) or not same_in_all_processes(position.step):
            raise UserError(f"{self.path}: another job goes on with the same training; wait until it has ended")
        return position

    def _restore(self, state: dict[str, Any]) -> bool:
        """Restore a state; returns whether that worked. If not, nothing has changed."""
        network = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
        optimizer, generator = copy.deepcopy(self.optimizer.state_dict()), torch.get_rng_state()
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self._restore_generators(state["generators"])
            return True
        except Exception as error:  # anything that the checks have missed
            self._log_damage(error)
            self.network.load_state_dict(network)
            self.optimizer.load_state_dict(optimizer)
            torch.set_rng_state(generator)
            return False

    def _log_damage(self, error: Exception) -> None:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        log.warning("%s is damaged (%s): the training starts from its beginning", self.path, reason)

    def _restore_generators(self, states: list[Tensor]) -> None:
        """Restore the random generators, if the number of processes is the same as when they were saved."""
        processes = number_of_processes()
        kinds = 2 if self.device.type == "cuda" else 1
        if len(states) == kinds * processes:
            torch.set_rng_state(states[process_number()].cpu())
            if kinds == 2:
                torch.cuda.set_rng_state(states[processes + process_number()].cpu(), self.device)

    def _read(self, steps: Sequence[int] | None) -> dict[str, Any] | None:
        """The state in the file, if it fits this training; changes nothing."""
        if not self.path.exists():
            return None
        try:
            _check_bytes(self.path)
            state = torch.load(self.path, map_location=self.device, weights_only=True)
            _check_position(state, steps)
            _check_network(state["network"], self.network)
            _check_optimizer(state["optimizer"], self.optimizer)
            _check_generators(state["generators"])
            return state
        except Exception as error:  # for a damaged file, torch raises nearly every type there is
            self._log_damage(error)
            return None


def _check_bytes(path: Path) -> None:
    """Compare the checksums in a file, which torch does not do.

    Raises:
        ValueError, zipfile.BadZipFile, OSError: the file is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")


def _check_position(state: Any, steps: Sequence[int] | None) -> None:
    if not isinstance(state, dict):
        raise ValueError("it does not hold the state of a training")
    curve, step, sums = state["curve"], state["step"], state["sums"]
    if not isinstance(curve, list) or not all(map(_is_of_numbers, curve)) or not _is_of_numbers(sums):
        raise ValueError("it does not hold a training curve")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise ValueError(f"{step} is not a number of steps")
    if steps is not None and (len(curve) > len(steps) or (step and step >= [*steps, 0][len(curve)])):
        raise ValueError(f"this training has no epoch {len(curve) + 1} with {step} steps before its end")


def _is_of_numbers(values: Any) -> bool:
    """Whether it is a dict from names to numbers."""
    return isinstance(values, dict) and all(
        isinstance(name, str) and isinstance(value, int | float) for name, value in values.items()
    )


def _check_network(saved: Any, network: nn.Module) -> None:
    own = network.state_dict()
    if not isinstance(saved, dict) or saved.keys() != own.keys():
        raise ValueError("it belongs to another network")
    for name, tensor in own.items():
        if not isinstance(saved[name], Tensor) or _form(saved[name]) != _form(tensor):
            raise ValueError(f"'{name}' belongs to another network")
        if not saved[name].isfinite().all():
            raise ValueError(f"'{name}' has values that are not finite")


def _form(tensor: Tensor) -> tuple[torch.Size, torch.dtype, torch.layout]:
    return tensor.shape, tensor.dtype, tensor.layout


def _check_optimizer(saved: Any, optimizer: torch.optim.Optimizer) -> None:
    own = optimizer.state_dict()["param_groups"]
    groups = saved["param_groups"]
    if [group.keys() for group in groups] != [group.keys() for group in own] or any(
        group["params"] != expected["params"] for group, expected in zip(groups, own, strict=True)
    ):
        raise ValueError("it belongs to another optimiser")
    for group, expected in zip(groups, own, strict=True):
        for name, value in expected.items():
            if name == "lr":  # changes from step to step
                if not isinstance(group[name], float | int) or not math.isfinite(group[name]):
                    raise ValueError("the optimiser's learning rate is not a finite number")
            elif type(group[name]) is not type(value) or group[name] != value:
                raise ValueError(f"the optimiser's '{name}' differs")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = set(next(iter(saved["state"].values()), {}))
    for number, state in saved["state"].items():
        if set(state) != names:
            raise ValueError("the optimiser's state is incomplete")
        for name, value in state.items():
            shape = torch.Size() if name == "step" else parameters[number].shape
            if not isinstance(value, Tensor) or (value.shape, value.layout) != (shape, torch.strided):
                raise ValueError(f"the optimiser's '{name}' belongs to another network")
            if not value.is_floating_point() or not value.isfinite().all():
                raise ValueError(f"the optimiser's '{name}' has values that are not finite")


def _check_generators(saved: Any) -> None:
    """Check that the CPU's states can be restored; a GPU's states are checked when they are."""
    own = torch.get_rng_state()
    if not isinstance(saved, list) or not saved:
        raise ValueError("it holds no states of random generators")
    for state in saved:
        if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.dim() != 1:
            raise ValueError("it holds no states of random generators")
        if len(state) == len(own):
            torch.Generator().set_state(state.cpu())
