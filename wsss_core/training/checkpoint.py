"""How far a training has come, on disk: after an epoch, or where SIGTERM stopped it within one."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
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
    """Steps finished of the epoch under way."""
    sums: dict[str, float] = field(default_factory=dict)
    """Of the losses, by name, over these steps."""

    @property
    def epoch(self) -> int:
        """The epoch under way, from 0."""
        return len(self.curve)


class Checkpoint:
    """A file with the state of network, optimiser and random generators at a position."""

    def __init__(self, path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """Nothing is read or written yet."""
        self.path, self.network, self.optimizer, self.device = path, network, optimizer, device

    def save(self, position: Position) -> None:
        """Write the state; all processes of a training have to call this, and wait until it is done.

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
            # torch writes to Python's file, not to the path: its own files do not tell why they cannot be written.
            with atomic_path(self.path) as temporary, open(temporary, "wb") as file:
                torch.save(state, file)
        any_process(False)

    def load(self) -> Position:
        """Put the saved state, if there is one, into network, optimiser and random generators.

        Returns:
            The position it was saved at; the beginning where there is none, or it is damaged.

        Raises:
            UserError: another job is writing the file at this very moment.
        """
        state = self._read()
        position = Position()
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            position = Position(state["curve"], state["step"], state["sums"])
            self._restore_generators(state["generators"])
        if not same_in_all_processes(position.epoch) or not same_in_all_processes(position.step):
            raise UserError(f"{self.path}: another job goes on with the same training; wait until it has ended")
        return position

    def _restore_generators(self, states: list[Tensor]) -> None:
        """Put the random generators where they were, if as many processes train as when they were saved."""
        processes = number_of_processes()
        kinds = 2 if self.device.type == "cuda" else 1
        if len(states) == kinds * processes:
            torch.set_rng_state(states[process_number()].cpu())
            if kinds == 2:
                torch.cuda.set_rng_state(states[processes + process_number()].cpu(), self.device)

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location=self.device, weights_only=True)
        except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
            log.warning("%s is damaged (%s): the training starts from its beginning", self.path, error)
            return None
