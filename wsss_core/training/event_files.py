"""A training's curve as TensorBoard's event files, beside ``training.csv``."""

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
    """Write event files for the time of the body.

    Those of an earlier run of the same training are deleted: a training that goes on has all rows of its curve written
    again, so that each epoch is there once, whatever the kill has left.

    Args:
        folder: where they lie; None: nothing is written.

    Yields:
        Takes the curve's rows, in their order.
    """
    if folder is None:
        yield lambda row: None
        return
    from torch.utils.tensorboard.writer import SummaryWriter  # here: an optional package, and slow to import

    for earlier in folder.glob("events.out.tfevents.*"):
        earlier.unlink()
    with SummaryWriter(str(folder)) as writer:

        def write(row: Row) -> None:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
            writer.flush()

        yield write
