"""Killed and resumed with ``runtime.deterministic``, each in a process of its own, a stage makes the same bytes.

Each stage is run three times: once whole; once until it has kept some progress, when it kills itself (SIGKILL); and
in that folder once more, to the end. All files of the first and the last run are compared byte by byte.
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
from wsss_core.jobs.run import Run
from wsss_core.refinement import spread_cams

KILLED_AFTER = {
    **dict.fromkeys(("classifier ordinary", "classifier ordinary, bfloat16", "classifier cgnet, all classes"), 1),
    **dict.fromkeys(("classifier aeft", "classifier seenet", "affinity affinitynet", "affinity irn"), 1),
    **dict.fromkeys(("segmenter deeplab", "segmenter largefov", "segmenter deeplabv3plus"), 1),
    **{"segmenter consistency": 1, "cams multiscale": 2, "cams advcam": 1, "walk irn": 1},
    "predictions, probabilities": 2,
}
"""Stages, and how many checkpoints, blocks or images each has kept when it kills itself."""
SMALL = ("classifier seenet", "affinity irn", "segmenter consistency", "cams advcam", "walk irn")
PATIENCE = 60
"""Seconds that a process may take in the worst case."""


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


def run_stages(names: Sequence[str], inputs: Path, folders: Path, device: str, at_most: int | None, told: Path) -> None:
    """Run stages in this process, each in its own folder; one that fails leaves the others to run.

    Args:
        names: of the stages.
        inputs: where what they start from has been made.
        folders: the folder of a stage is in there.
        device: ``cpu`` or ``cuda``.
        at_most: files of progress after which the process kills itself; None for never.
        told: file for how many each stage has kept in this process, or for how it failed.
    """
    torch.set_num_threads(1)
    generate_cams.BLOCK_IMAGES = spread_cams.BLOCK_IMAGES = 1  # type: ignore[attr-defined]
    results: dict[str, int | str] = {}
    for name in names:
        kept = Kept(at_most)
        place = Place(folders / name, Inputs(inputs), device)
        place.run = Run(place.run.inputs, device, provenance=place.run.provenance, deterministic=True)
        try:
            with patch.object(os, "replace", kept.replace):
                STAGES[name](place)
            results[name] = kept.files
        except Exception as error:
            results[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    told.write_text(json.dumps(results))


class Processes:
    """Starts processes that have imported everything, and have not touched a GPU."""

    def __init__(self, given: Given, inputs: Path) -> None:
        """Nothing is started yet."""
        self._given, self._inputs = given, inputs
        self._context: ForkServerContext = get_context("forkserver")
        self._context.set_forkserver_preload([__name__])

    def run(self, names: Sequence[str], folders: str, at_most: int | None = None) -> dict[str, int | str]:
        """Run stages in a process; how many files of progress each has kept, or how it failed.

        Args:
            names: of the stages.
            folders: name of the folder for theirs.
            at_most: files of progress after which the process kills itself.

        Returns:
            Empty if the process was killed.
        """
        told = self._given.folder / f"{folders}.json"
        told.unlink(missing_ok=True)
        given = (names, self._inputs, self._given.folder / folders, self._given.device.type, at_most, told)
        process = self._context.Process(target=run_stages, args=given)
        process.start()
        process.join(PATIENCE * len(names))
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(f"a process with {', '.join(names)} was not done in time")
        results: dict[str, int | str] = json.loads(told.read_text()) if told.exists() else {}
        if not results and process.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"a process with {', '.join(names)} ended with exit status {process.exitcode}")
        return results


def rows(given: Given) -> Iterator[Row]:
    """A row for each stage."""
    names = SMALL if given.small else tuple(KILLED_AFTER)
    inputs = Inputs(given.folder / "inputs")
    for name in names:  # on the CPU, also what it starts from
        STAGES[name](Place(given.folder / "first" / name, inputs, "cpu"))
    processes = Processes(given, inputs.folder)
    start = time.perf_counter()
    whole = processes.run(names, "whole")
    seconds = (time.perf_counter() - start) / len(names)
    killed: dict[str, str] = {}
    for name in names:
        results = processes.run([name], "resumed", KILLED_AFTER[name])
        killed[name] = f"it was not killed: {results[name]}" if results else ""
    resumed = processes.run(names, "resumed")
    for name in names:
        yield tried(name, lambda name=name: judged(name, given, (whole[name], resumed[name]), killed[name], seconds))  # type: ignore[misc]


def judged(name: str, given: Given, kept: tuple[int | str, int | str], killed: str, seconds: float) -> Row:
    """The row of a stage.

    Args:
        name: of the stage.
        given: the folder with both runs.
        kept: by the whole run and the resumed one: files of progress, or how it failed.
        killed: what was wrong with the kill; empty if nothing.
        seconds: of a whole run, in the mean.
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
    return Row(name, {**figures, "seconds, in the mean": seconds}, fault)


def differing(one: Path, other: Path) -> str:
    """Which files of two runs differ, in words; empty if none does."""
    if made_files(one) != made_files(other):
        return f"one run made {len(made_files(one))} files, the other {len(made_files(other))}"
    files = [str(path) for path in made_files(one) if (one / path).read_bytes() != (other / path).read_bytes()]
    return f"other bytes in {', '.join(files)}" if files else ""
