"""Writes the training curve as TensorBoard event files, next to ``training.csv``."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

Row = Mapping[str, float]
"""A row of the training curve: ``epoch``, losses, ``learning_rate``."""


def tensorboard_is_installed() -> bool:
    """Whether event files can be written."""
    return find_spec("tensorboard") is not None


@contextmanager
def event_files(folder: Path | None) -> Iterator[Callable[[Row], None]]:
    """Write event files during the body.

    Files of an earlier run of the same training are deleted. A resumed training writes all rows of its curve again, so
    that each epoch is there once, whatever a killed run has left.

    Args:
        folder: where to write; None writes nothing.

    Yields:
        A function that writes a row of the curve; to be called in their order.
    """
    if folder is None:
        yield lambda row: None
        return
    from torch.utils.tensorboard.writer import SummaryWriter  # here, as it is optional and slow to import

    for earlier in folder.glob("events.out.tfevents.*"):
        earlier.unlink()
    with SummaryWriter(str(folder)) as writer:

        def write(row: Row) -> None:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
            writer.flush()

        yield write
