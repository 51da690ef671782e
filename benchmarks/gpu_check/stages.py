"""Compares every stage on the GPU and on the CPU, with tiny networks and images.

The stages are those that CI runs on the pretended device (``tests/pretended_cuda/stages.py``): all objectives of
classifiers, all class maps, climbs, affinity networks, walks, segmenters and predictions. Both sides use the same
random numbers and the same memory format of weights. The stages themselves disable TF32 for float32.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from benchmarks.gpu_check.needed import has_crf, has_timm
from benchmarks.gpu_check.random_of_the_cpu import RandomOfTheCpu
from tests.pretended_cuda.compared import largest_deviations
from tests.pretended_cuda.stages import STAGES, WITH_TIMM, Inputs, Place, predictions
from wsss_core.config.segmentation import Prediction
from wsss_core.jobs.numerics import apply_numerics
from wsss_core.jobs.run import Run
from wsss_core.training.frozen import memory_format as order

FLOAT32, CLIMB, BFLOAT16 = 1e-3, 0.02, 0.1
"""Allowed deviations, relative to the largest value of an array, or of labels. Sums in another order differ by 1e-7,
which grows during two epochs; in a climb, a cell may be at the threshold of the mask."""
IN_BFLOAT16 = ("bfloat16", "all classes", "disjoint", "border pairs", "boundaries", "v3plus", "unlabelled", "backbone")
"""Parts of the names of stages whose networks compute in bfloat16."""
WITH_CRF = ("predictions",)


def allowed(name: str) -> float:
    """The allowed deviation of a stage."""
    if any(part in name for part in (*IN_BFLOAT16, "after resizing")):
        return BFLOAT16
    return CLIMB if "advcam" in name or name == "climb" else FLOAT32


def compared(name: str, inputs: Inputs, folder: Path, device: torch.device) -> Row:
    """Run a stage on the CPU and on the device, and compare all numbers in all files."""
    stage = ALL_STAGES[name]
    start = time.perf_counter()
    with ExitStack() as stack:
        for module in ("loop", "frozen"):  # dropout depends on the memory format
            ordered = patch(f"wsss_core.training.{module}.memory_format", lambda _, precision: order(device, precision))
            stack.enter_context(ordered)
        stage(Place(folder / "cpu", inputs, "cpu"))
    between = time.perf_counter()
    apply_numerics(Run(), device)  # the stage before may have changed it
    with RandomOfTheCpu():
        stage(Place(folder / "device", inputs, device.type))
    end = time.perf_counter()
    deviations = largest_deviations(folder / "cpu", folder / "device")
    worst = max(deviations, key=lambda value: _sortable(deviations[value]))
    figures: dict[str, float | str | None] = {
        "largest deviation": deviations[worst],
        "allowed": allowed(name),
        "seconds on the CPU": between - start,
        "on the device": end - between,
    }
    too_far = not deviations[worst] <= allowed(name)
    return Row(name, figures, f"{worst} deviates by {deviations[worst]:.3g}" if too_far else "")


def _sortable(deviation: float) -> float:
    return deviation if deviation == deviation else float("inf")


ALL_STAGES = {
    **STAGES,
    "predictions, no CRF": predictions("segmenter deeplab", Prediction(scales=(0.5, 1.0), crf=None)),
}


def rows(given: Given) -> Iterator[Row]:
    """A row for each stage."""
    torch.set_num_threads(1)  # for tiny networks, several threads only wait for each other
    inputs = Inputs(given.folder / "inputs")
    for number, name in enumerate(ALL_STAGES):
        if name in WITH_CRF and not has_crf():
            yield Row(name, skipped="no pydensecrf")
        elif name in WITH_TIMM and not has_timm():
            yield Row(name, skipped="no timm")
        else:
            folder = given.folder / str(number)
            yield tried(name, lambda name=name, folder=folder: compared(name, inputs, folder, given.device))  # type: ignore[misc]
