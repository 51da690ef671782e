"""Runs one part of the check in its own process: ``python -m benchmarks.gpu_check.part MODULE:FUNCTION ROWS ...``.

The function gets a :class:`benchmarks.gpu_check.given.Given`, and yields its rows.
"""

import argparse
import importlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.gpu_check.findings import Row, write_rows
from benchmarks.gpu_check.given import Given


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part and write each row immediately."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check.part", description=__doc__)
    parser.add_argument("function", help="for example benchmarks.gpu_check.walk:rows")
    parser.add_argument("rows", type=Path, help="file to write")
    parser.add_argument("--device", choices=["cuda", "cpu"], required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(level="WARNING", stream=sys.stdout, format="%(message)s")
    torch.set_num_threads(options.threads)
    found: list[Row] = []
    write_rows(options.rows, found)
    with tempfile.TemporaryDirectory() as folder:
        given = Given(_device(options.device), options.small, options.threads, Path(folder))
        module, _, function = options.function.partition(":")
        part: Iterator[Row] = getattr(importlib.import_module(module), function)(given)
        for row in part:
            found.append(row)
            write_rows(options.rows, found)
            print(row, flush=True)


def _device(name: str) -> torch.device:
    return torch.device("cuda", 0) if name == "cuda" else torch.device("cpu")


if __name__ == "__main__":
    main()
