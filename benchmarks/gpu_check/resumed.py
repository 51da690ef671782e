"""Checks that a stage that is killed and resumed with ``runtime.deterministic`` writes the same bytes.

Each stage runs until it has saved some progress, and kills itself (SIGKILL); another process then finishes it in the
same folder, and runs it as a whole in another folder. All files of these two runs are compared byte by byte. The row of
a stage is written before the next stage starts.
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
"""Stages, and the number of checkpoints, blocks or images after which each kills itself."""
SMALL = ("classifier seenet", "affinity irn", "segmenter consistency", "cams advcam", "walk irn")
PATIENCE = 15
"""Time limit of a process on a GPU, seconds: short, so that one that hangs uses little of the part's time."""
ON_A_CPU = 20
"""Factor for this limit on a CPU."""


class Kept:
    """Counts complete files of progress, and kills the process at a given number."""

    def __init__(self, at_most: int | None) -> None:
        """Start with no complete file."""
        self.files, self._at_most, self._replace = 0, at_most, os.replace

    def replace(self, source: Path, target: Path) -> None:
        """Call ``os.replace``, which completes a file, and count it."""
        self._replace(source, target)
        self.files += PARTIAL in Path(target).parts
        if self._at_most is not None and self.files >= self._at_most:
            os.kill(os.getpid(), signal.SIGKILL)


def run_stage(name: str, inputs: Path, folders: Sequence[Path], device: str, at_most: int | None, output: Path) -> None:
    """Run a stage in this process, in one folder after the other.

    Args:
        name: of the stage.
        inputs: folder of the stage's inputs.
        folders: where it runs.
        device: ``cpu`` or ``cuda``.
        at_most: files of progress after which the process kills itself; None for never.
        output: file for the number of files of progress of each run, or for its error.
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
    output.write_text(json.dumps(results))


class Processes:
    """Starts processes that have imported everything, but have not used a GPU."""

    def __init__(self, given: Given, inputs: Path) -> None:
        """Prepare without starting a process."""
        self._given, self._inputs = given, inputs
        self._context: ForkServerContext = get_context("forkserver")
        self._context.set_forkserver_preload([__name__])

    def run(self, name: str, runs: Sequence[str], at_most: int | None = None) -> list[int | str]:
        """Run a stage in a process.

        Args:
            name: of the stage.
            runs: names of the parent folders of its folders, one after the other.
            at_most: files of progress after which the process kills itself.

        Returns:
            The number of files of progress of each run, or its error; empty if the process was killed.
        """
        output, limit = self._given.folder / "kept.json", PATIENCE
        output.unlink(missing_ok=True)
        if self._given.device.type == "cpu":
            limit *= ON_A_CPU
        folders = [self._given.folder / run / name for run in runs]
        given = (name, self._inputs, folders, self._given.device.type, at_most, output)
        process = self._context.Process(target=run_stage, args=given)
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(f"a process was not done in {limit} s")
        results: list[int | str] = json.loads(output.read_text()) if output.exists() else []
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
    """Run a stage three times, and compare the results."""
    STAGES[name](Place(given.folder / "first" / name, inputs, "cpu"))  # this makes its inputs
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
        kept: number of files of progress of the whole run and the resumed one, or the error.
        killed: the fault of the killed run; empty if none.
        seconds: of the three runs together.
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
        fault = fault or "it was not resumed, but started again"
    if not fault:
        fault = differing(one, other)
        figures["bytes compared"] = str(sum((one / path).stat().st_size for path in made_files(one)))
    return Row(name, {**figures, "seconds of all three": seconds}, fault)


def differing(one: Path, other: Path) -> str:
    """A message about the files of two runs that differ; empty if none does."""
    if made_files(one) != made_files(other):
        return f"one run made {len(made_files(one))} files, the other {len(made_files(other))}"
    files = [str(path) for path in made_files(one) if (one / path).read_bytes() != (other / path).read_bytes()]
    return f"different bytes in {', '.join(files)}" if files else ""
