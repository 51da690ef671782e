"""When a shard's images are read, computed and written: whether the device waits for anything.

``python -m benchmarks.timeline predictions`` (or ``cams``) runs one shard as the workflow's job does, with generated
images and random weights, and draws a line for each thread and each worker process: every column is an equal share of
the time, ``#`` where the thread was busy for most of it, ``.`` for some of it. ``--svg`` draws the same to scale. On a
GPU the network's line is the device's own time. The last line is ``busy=<share of the time from the first to the last
call of the network in which it computed> longest_wait=<seconds>``. Nothing is waited for at the end: the files of the
last images are written when the network has done, and the first image is read before it can begin.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import torch

from benchmarks.measuring import heading, torch_threads, wait_for
from benchmarks.prediction import CLASSES, make_shard
from benchmarks.spans import Span, recorded
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.atomic import atomic_path
from wsss_core.jobs.devices import choose_device
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier
from wsss_core.segmentation.predict import predict

matplotlib.use("Agg")
COLUMNS = 100
NETWORK = "network"
_PROBABILITIES = "wsss_core.segmentation.class_probabilities"
PREDICTIONS = {
    "read": (
        "wsss_core.segmentation.class_probabilities.read_indexed_image",
        "wsss_core.segmentation.class_probabilities.scaled_images",
    ),
    NETWORK: (f"{_PROBABILITIES}._probabilities",),
    "write": ("wsss_core.segmentation.predict.write_label_map", "wsss_core.segmentation.predict.write_probabilities"),
}
REFINED = {"wsss_core.segmentation.predict.refined_labels": "refined_labels"}
CAMS = {
    "read": ("wsss_core.cams.drawing.Drawing.read",),
    NETWORK: ("wsss_core.cams.drawing.Drawing.maps",),
    "write": ("wsss_core.files.cam_store._write_image",),
}
"""What is noted, by what it is called here."""


def timeline_of_predictions(index: DatasetIndex, folder: Path, options: argparse.Namespace) -> list[Span]:
    """What happens when a shard is predicted, and its probabilities are kept."""
    parameters = Prediction(
        scales=tuple(options.scales), keep_probabilities=options.keep, **({"crf": None} if options.no_crf else {})
    )
    weights, manifest = folder / "weights.safetensors", folder / "predictions" / "labels" / "shard.csv"
    kept = folder / "predictions" / "probabilities" / "shard.h5" if options.keep else None
    with recorded(PREDICTIONS, NETWORK, REFINED) as spans:
        predict(parameters, index, weights, manifest, kept, Run([weights], options.device, options.threads))
    return spans


def timeline_of_cams(index: DatasetIndex, folder: Path, options: argparse.Namespace) -> list[Span]:
    """What happens when multi-scale maps are made of a shard, two classes an image."""
    torch.manual_seed(0)
    trunk = Trunk(network=options.network, output_stride=options.stride)
    weights = folder / "classifier.safetensors"
    save_classifier(weights, ClassMapClassifier(trunk, CLASSES))
    labelled = DatasetIndex(CLASSES, index.table.assign(labels=";".join(CLASSES[:2])))
    parameters = MultiscaleCams(classifier="any", scales=tuple(options.scales))
    shard = folder / "cams" / "shards" / "shard.h5"
    with recorded(CAMS, NETWORK, {}) as spans:
        generate_cams(parameters, labelled, weights, shard, Run([weights], options.device))
    return spans


def rows_of(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Spans by kind and place, which are drawn in one line, in the order in which lines begin."""
    rows: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start):
        rows.setdefault(f"{span.kind} ({span.place})", []).append(span)
    return rows


def as_text(spans: Sequence[Span]) -> str:
    """The lines, and the share of the time that each was busy."""
    first, last = min(span.start for span in spans), max(span.end for span in spans)
    column = (last - first) / COLUMNS
    lines = []
    for name, row in rows_of(spans).items():
        drawn = ""
        for number in range(COLUMNS):
            start = first + number * column
            busy = busy_seconds(row, start, start + column) / column
            drawn += "#" if busy > 0.5 else "." if busy > 0 else " "
        lines.append(f"{name:>32} |{drawn}| {busy_seconds(row, first, last) / (last - first):4.0%}")
    return "\n".join(lines)


def busy_seconds(spans: Iterable[Span], start: float, end: float) -> float:
    """How much of a time is covered by spans, which may overlap."""
    covered, until = 0.0, start
    for span in sorted(spans, key=lambda span: span.start):
        covered += max(0.0, min(span.end, end) - max(span.start, until))
        until = max(until, min(span.end, end))
    return covered


def waits_of_network(spans: Iterable[Span]) -> tuple[float, float]:
    """The share of the time between its first and its last call in which the network computed; its longest wait."""
    row = sorted((span for span in spans if span.kind == NETWORK), key=lambda span: span.start)
    first, last = row[0].start, max(span.end for span in row)
    longest, until = 0.0, row[0].end
    for span in row[1:]:
        longest, until = max(longest, span.start - until), max(until, span.end)
    return busy_seconds(row, first, last) / (last - first), longest


def draw(spans: Sequence[Span], path: Path) -> None:
    """Draw the lines to scale; the file's suffix says how (``.svg``, ``.png``)."""
    from matplotlib.figure import Figure

    rows, first = rows_of(spans), min(span.start for span in spans)
    figure = Figure(figsize=(12, 0.8 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    kinds = list(dict.fromkeys(span.kind for span in spans))
    for number, row in enumerate(rows.values()):
        bars = [(span.start - first, span.end - span.start) for span in row]
        axes.broken_barh(bars, (number - 0.4, 0.8), color=f"C{kinds.index(row[0].kind)}", edgecolor="white", lw=0.3)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a shard and show when what was done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeline", description=__doc__)
    parser.add_argument("stage", choices=("predictions", "cams"))
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--network", default="resnet50", help="trunk (default: resnet50)")
    parser.add_argument("--stride", type=int, default=16, help="the trunk's output stride (default: 16)")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--no-crf", action="store_true", help="predictions: labels of the largest probabilities")
    parser.add_argument("--keep", action="store_true", help="predictions: keep the probabilities in HDF5")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the rule (default: cores)")
    parser.add_argument("--svg", type=Path, help="a file for the drawing")
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    print(heading(options.threads, device))
    print(
        f"{options.stage}: {options.images} images of {options.height}x{options.width}, {options.network} of stride "
        f"{options.stride}, scales {options.scales}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as temporary, torch_threads(options.threads):
        folder = Path(temporary)
        size = (options.images, options.height, options.width)
        index = make_shard(folder, *size, options.network, options.stride)
        run = timeline_of_predictions if options.stage == "predictions" else timeline_of_cams
        spans = run(index, folder, options)
        wait_for(device)
    print(as_text(spans))
    if options.svg is not None:
        draw(spans, options.svg)
    busy, longest = waits_of_network(spans)
    print(f"busy={busy:.4f} longest_wait={longest:.3f}")


if __name__ == "__main__":
    main()
