"""The waits of every stage, as somebody last looked at them: ``python -m tests.pretended_cuda.waits`` records them.

Each costs a GPU the time in which it has nothing to do: none of them should be in what is done again and again.
"""

import json
import tempfile
from pathlib import Path

import torch

from .machine import pretended_cuda
from .stages import STAGES, Inputs, Place
from .tensor import Seen

RECORD = Path(__file__).parent / "waits.json"


def in_words(seen: Seen) -> list[str]:
    """The waits, without how often each was."""
    return sorted({str(wait) for wait in seen.waits})


if __name__ == "__main__":
    torch.set_num_threads(1)
    record = {}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder) / "inputs")
        for number, (name, stage) in enumerate(STAGES.items()):
            stage(Place(inputs.folder / name, inputs, "cpu"))  # first what it starts from
            with pretended_cuda() as seen:
                stage(Place(Path(folder) / str(number), inputs, "cuda"))
            record[name] = in_words(seen)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
