"""Killed and resumed with ``runtime.deterministic``, a stage makes the same bytes.

Each stage is run until it has kept some progress, when it kills itself (SIGKILL); then, in another process, to the end
in the same folder, and once whole in another folder. All files of these two are compared byte by byte. The row of a
stage is there before the next stage is begun.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from tests.pretended_cuda.compared import made_files
from tests.pretended_cuda.stages import STAGES, Inputs, Place
from wsss_core.cams import generate_cams
from wsss_core.files.resume import PARTIAL
from wsss_core.refinement import spread_cams

KILLED_AFTER = {
    **dict.fromkeys(("classifier ordinary", "classifier ordinary, bfloat16", "classifier ordinary, recomputed"), 1),
    **dict.fromkeys(("classifier cgnet, all classes", "classifier aeft", "classifier seenet"), 1),
    **dict.fromkeys(("affinity affinitynet", "affinity irn"), 1),
    **dict.fromkeys(("segmenter deeplab", "segmenter largefov", "segmenter deeplabv3plus"), 1),
    **{"segmenter consistency": 1, "cams multiscale": 2, "cams advcam": 1, "walk irn": 1},
    "predictions, probabilities": 2,
}
"""Stages, and how many checkpoints, blocks or images each has kept when it kills itself."""
SMALL = ("classifier seenet", "affinity irn", "segmenter consistency", "cams advcam", "walk irn")
PATIENCE = 15
"""Seconds that a process may take on a GPU: of the part's time one that hangs takes little."""
ON_A_CPU = 20
"""How many times as long it may take on a CPU."""


class Kept:
    """Counts the files of progress that are complete, and kills the process at the last one it may have."""

    def __init__(self, at_most: int | None) -> None:
        """No file is complete yet."""
        self.files, self._at_most, self._replace = 0, at_most, os.replace

    def replace(self, source: Path, target: Path) -> None:
        """As ``os.replace``, by which a file appears."""
        self._replace(source, target)
        self.files += PARTIAL in Path(target).parts
        if self._at_most is not None and self.files >= self._at_most:
            os.kill(os.getpid(), signal.SIGKILL)


def run_stage(name: str, inputs: Path, folders: Sequence[Path], device: str, at_most: int | None, told: Path) -> None:
    """Run a stage in this process, in one folder after the other.

    Args:
        name: of the stage.
        inputs: where what it starts from has been made.
        folders: where it is run.
        device: ``cpu`` or ``cuda``.
        at_most: files of progress after which the process kills itself; None for never.
        told: file for how many files of progress each run has kept, or for how it failed.
    """
    torch.set_num_threads(1)
    generate_cams.BLOCK_IMAGES = spread_cams.BLOCK_IMAGES = 1  # type: ignore[attr-defined]
    results: list[int | str] = []
    for folder in folders:
        kept = Kept(at_most)
        place = Place(folder, Inputs(inputs), device, deterministic=True)
        try:
            with patch.object(os, "replace", kept.replace):
                STAGES[name](place)
            results.append(kept.files)
        except Exception as error:
            results.append(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
    told.write_text(json.dumps(results))


class Processes:
    """Starts processes that have imported everything, and have not touched a GPU."""

    def __init__(self, given: Given, inputs: Path) -> None:
        """Nothing is started yet."""
        self._given, self._inputs = given, inputs
        self._context: ForkServerContext = get_context("forkserver")
        self._context.set_forkserver_preload([__name__])

    def run(self, name: str, runs: Sequence[str], at_most: int | None = None) -> list[int | str]:
        """Run a stage in a process; how many files of progress each run has kept, or how it failed.

        Args:
            name: of the stage.
            runs: names of the folders for its folders, one after the other.
            at_most: files of progress after which the process kills itself.

        Returns:
            Empty if the process was killed.
        """
        told, limit = self._given.folder / "kept.json", PATIENCE
        told.unlink(missing_ok=True)
        if self._given.device.type == "cpu":
            limit *= ON_A_CPU
        folders = [self._given.folder / run / name for run in runs]
        given = (name, self._inputs, folders, self._given.device.type, at_most, told)
        process = self._context.Process(target=run_stage, args=given)
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(f"a process was not done in {limit} s")
        results: list[int | str] = json.loads(told.read_text()) if told.exists() else []
        if not results and process.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"a process ended with exit status {process.exitcode}")
        return results


def rows(given: Given) -> Iterator[Row]:
    """A row for each stage."""
    inputs = Inputs(given.folder / "inputs")
    processes = Processes(given, inputs.folder)
    for name in SMALL if given.small else KILLED_AFTER:
        yield tried(name, lambda name=name: killed_and_resumed(name, inputs, processes, given))  # type: ignore[misc]


def killed_and_resumed(name: str, inputs: Inputs, processes: Processes, given: Given) -> Row:
    """Run a stage three times, and compare."""
    STAGES[name](Place(given.folder / "first" / name, inputs, "cpu"))  # which makes what it starts from
    start = time.perf_counter()
    results = processes.run(name, ["resumed"], KILLED_AFTER[name])
    killed = f"it was not killed: {results[0]}" if results else ""
    resumed, whole = processes.run(name, ["resumed", "whole"])
    return judged(name, given, (whole, resumed), killed, time.perf_counter() - start)


def judged(name: str, given: Given, kept: tuple[int | str, int | str], killed: str, seconds: float) -> Row:
    """The row of a stage.

    Args:
        name: of the stage.
        given: the folder with both runs.
        kept: by the whole run and the resumed one: files of progress, or how it failed.
        killed: what was wrong with the kill; empty if nothing.
        seconds: of the three runs.
    """
    whole, resumed = kept
    one, other = given.folder / "whole" / name, given.folder / "resumed" / name
    figures: dict[str, float | str | None] = {
        "killed after": str(KILLED_AFTER[name]),
        "kept by a whole run": str(whole),
        "by the resumed one": str(resumed),
    }
    fault = killed
    if not isinstance(whole, int) or not isinstance(resumed, int):
        fault = "; ".join(part for part in kept if isinstance(part, str))
    elif not resumed < whole:
        fault = fault or "it has not gone on, but begun again"
    if not fault:
        fault = differing(one, other)
        figures["bytes compared"] = str(sum((one / path).stat().st_size for path in made_files(one)))
    return Row(name, {**figures, "seconds of all three": seconds}, fault)


def differing(one: Path, other: Path) -> str:
    """Which files of two runs differ, in words; empty if none does."""
    if made_files(one) != made_files(other):
        return f"one run made {len(made_files(one))} files, the other {len(made_files(other))}"
    files = [str(path) for path in made_files(one) if (one / path).read_bytes() != (other / path).read_bytes()]
    return f"other bytes in {', '.join(files)}" if files else ""
