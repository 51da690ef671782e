"""A shard for benchmarks of class maps, and a profile of a run on it, from JPEG files to HDF5."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import torch
from PIL import Image

# Otherwise the profiler only records the thread in which it is started.
from torch._C._profiler import _ExperimentalConfig as ProfilerOptions
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.measuring import seconds
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.config.cams import Cams
from wsss_core.datasets.index import DatasetIndex
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier

SHOWN = 8
"""Number of operations in a profile, besides convolutions."""


class Shard:
    """JPEG files, an index of them, and a classifier's file."""

    def __init__(self, folder: Path, classifier: ClassMapClassifier, images: int, height: int, width: int) -> None:
        """Make the files.

        Args:
            folder: an empty folder.
            classifier: written there.
            images: number of images, with one or two classes in turn; VOC has 1.5 on average.
            height: of an image, pixels.
            width: of an image, pixels.
        """
        self.folder, self.classifier = folder, folder / "classifier.safetensors"
        save_classifier(self.classifier, classifier)
        random, rows = np.random.default_rng(0), []
        for number in range(images):
            path = folder / f"{number}.jpg"
            coarse = Image.fromarray(random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
            coarse.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=92)
            shown = [classifier.classes[(3 * number + k) % len(classifier.classes)] for k in range(1 + number % 2)]
            labels = ";".join(name for name in classifier.classes if name in shown)
            rows.append((f"image{number}", "train", str(path), height, width, labels))
        columns = ["image_id", "split", "image", "height", "width", "labels"]
        self.index = DatasetIndex(classifier.classes, pandas.DataFrame(rows, columns=columns))
        self._runs = 0

    def draw(self, parameters: Cams, device: torch.device) -> Path:
        """Run the stage `cams` in a new folder; returns the HDF5 file."""
        self._runs += 1
        file = self.folder / f"run{self._runs}" / "shards" / "000-of-001.h5"
        generate_cams(parameters, self.index, self.classifier, file, Run([self.classifier], device.type))
        return file


def print_profile(run: Callable[[], object], device: torch.device, timeline: Path | None = None) -> float:
    """Print how a run's time is spent.

    Args:
        run: the function to measure, with all its threads.
        device: for a GPU, the times of its kernels are used.
        timeline: file for all threads' and the GPU's operations, for ``chrome://tracing`` or ui.perfetto.dev.

    Returns:
        The proportion of the run's wall time in convolutions.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities, experimental_config=ProfilerOptions(profile_all_threads=True)) as profiled:
        _, wall = seconds(run, device)
    if timeline is not None:
        profiled.export_chrome_trace(str(timeline))
    spent: Counter[str] = Counter()
    for event in profiled.key_averages():
        if event.device_type == DeviceType.CPU:
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent["convolutions" if "conv" in event.key else event.key] += microseconds / 1e6
    in_convolutions, everything = spent.pop("convolutions", 0.0), sum(spent.values())
    print(f"the whole run under the profiler: {wall:.2f} s, of which")
    print(f"  {100 * in_convolutions / wall:5.1f} %  convolutions")
    for name, one in spent.most_common(SHOWN):
        print(f"  {100 * one / wall:5.1f} %  {name}")
    print(f"  {100 * (everything - sum(s for _, s in spent.most_common(SHOWN))) / wall:5.1f} %  other torch operations")
    idle = "the GPU waits" if on_gpu else "outside torch"
    print(f"  {100 * (wall - in_convolutions - everything) / wall:5.1f} %  {idle}", flush=True)
    return in_convolutions / wall
