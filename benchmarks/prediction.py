"""Compares the predictions of a shard of images with a simple loop over the images.

``python -m benchmarks.prediction`` makes JPEG images and a segmenter with random weights, and predicts the images'
label maps, from JPEG to PNG, with the given scales, mirror images and CRF. The simple loop works sequentially: it reads
an image, runs the network as it was trained, saves the probabilities if they are kept, runs the CRF, writes the PNG,
and finally the HDF5 file. The other side is ``wsss_core.segmentation.predict.predict``, including the start of its
processes. Runs of both sides alternate. ``deviation`` is the proportion of pixels with another label. The output also
has processor times, including worker processes, which are more reliable on a busy machine.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.crf import make_scene
from benchmarks.measuring import heading, last_line, seconds, torch_threads
from benchmarks.shard import print_profile
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLabV3Plus, Prediction
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.datasets.label_values import label_type
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.files.probability_store import write_probabilities
from wsss_core.jobs.devices import choose_device
from wsss_core.jobs.run import Run
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.refinement.crf import dense_crf
from wsss_core.segmentation.predict import predict

CLASSES = tuple(f"class{number:02d}" for number in range(20))
Times = tuple[float, float]
"""Wall time and processor time of a run, seconds."""


def make_shard(folder: Path, images: int, height: int, width: int, network: str, stride: int) -> DatasetIndex:
    """Write images, every third one in portrait format, and a random segmenter, ``weights.safetensors``."""
    torch.manual_seed(0)
    options = DeepLabV3Plus(backbone="any").options
    trunk = Trunk(network=network, output_stride=stride)
    save_segmenter(folder / "weights.safetensors", build_segmenter("deeplabv3plus", options, trunk, CLASSES))
    rows = []
    for number in range(images):
        size = (width, height) if number % 3 == 2 else (height, width)
        file = folder / f"image{number}.jpg"
        Image.fromarray(make_scene(number, *size, labels=1)[0]).save(file, quality=92)
        rows.append((file.stem, "val", str(file), *size, ""))
    table = pandas.DataFrame(rows, columns=["image_id", "split", "image", "height", "width", "labels"])
    return DatasetIndex(CLASSES, table)


def plain_probabilities(network: SegmentationNetwork, image: np.ndarray, parameters: Prediction) -> Tensor:
    """Mean probabilities (K + 1, H, W) over scales and mirror images, for an image (H, W, 3)."""
    size, device = image.shape[:2], next(network.parameters()).device
    total = torch.zeros(len(network.classes), *size, device=device)
    for scale in parameters.scales:
        batch = normalise(rescale(image, scale))[None]  # (1, 3, h, w)
        if parameters.flip:
            batch = torch.cat([batch, batch.flip(3)])
        logits = functional.interpolate(network(batch.to(device)), size=size, mode="bilinear", align_corners=False)
        probabilities = logits.softmax(dim=1)
        total += probabilities[0]
        if parameters.flip:
            total += probabilities[1].flip(2)
    return total / (len(parameters.scales) * (2 if parameters.flip else 1))


def plain_predict(parameters: Prediction, index: DatasetIndex, weights: Path, folder: Path, device: str) -> None:
    """Write label maps of all images, and their probabilities if they are kept, one step after the other."""
    network = load_segmenter(weights, choose_device(device))
    paths = index.image_paths

    def make(position: int) -> np.ndarray:
        image = read_image(paths[position])
        with torch.inference_mode():
            scores = plain_probabilities(network, image, parameters).cpu().numpy()
        if parameters.keep_probabilities:
            np.save(folder / f"{position}.npy", scores.astype(np.float16))
        if parameters.crf is not None:
            scores = dense_crf(image, scores, parameters.crf)
        return scores.argmax(axis=0).astype(label_type(len(index.classes)))

    def kept() -> Iterator[tuple[str, np.ndarray]]:
        for position, image_id in enumerate(index.image_ids):
            yield image_id, np.load(folder / f"{position}.npy")

    write_label_maps(index, make, folder / "labels" / "shard.csv", [weights], "plain")
    if parameters.keep_probabilities:
        write_probabilities(folder / "probabilities.h5", network.classes, kept())


def both_ways(
    parameters: Prediction, index: DatasetIndex, weights: Path, folder: Path, threads: int, device: str
) -> tuple[Times, Times, float]:
    """The times of the plain loop and of ``predict``, and the proportion of pixels with another label."""
    plain, ours = folder / "plain", folder / "ours"
    plain.mkdir(parents=True)
    kept = ours / "probabilities.h5" if parameters.keep_probabilities else None
    manifest = ours / "labels" / "shard.csv"
    times = []
    for way in (
        partial(plain_predict, parameters, index, weights, plain, device),
        partial(predict, parameters, index, weights, manifest, kept, Run([weights], device, threads)),
    ):
        before = sum(os.times()[:4])
        wall = seconds(way)[1]
        times.append((wall, sum(os.times()[:4]) - before))
    different = [
        float((read_mask(plain / "labels" / f"{name}.png") != read_mask(ours / "labels" / f"{name}.png")).mean())
        for name in index.image_ids
    ]
    return times[0], times[1], statistics.fmean(different)


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict with both and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--network", default="resnet50", help="trunk of a DeepLabV3+ (default: resnet50)")
    parser.add_argument("--stride", type=int, default=16, help="the trunk's output stride (default: 16)")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--no-crf", action="store_true", help="use the labels with the largest probabilities")
    parser.add_argument("--keep", action="store_true", help="keep the probabilities in HDF5")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of our side")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the rule (default: cores)")
    parser.add_argument("--timeline", type=Path, help="only write a trace of our side to this file")
    options = parser.parse_args(arguments)
    settings = {"scales": tuple(options.scales), "keep_probabilities": options.keep, "arithmetic": options.precision}
    parameters = Prediction(**settings, **({"crf": None} if options.no_crf else {}))
    print(heading(options.threads, choose_device(options.device)))
    print(
        f"{options.images} images of {options.height}x{options.width}, {len(CLASSES)} classes, DeepLabV3+ on "
        f"{options.network} of stride {options.stride}, {parameters!r}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as temporary, torch_threads(options.threads):
        folder = Path(temporary)
        size = (options.images, options.height, options.width)
        index = make_shard(folder, *size, options.network, options.stride)
        weights = folder / "weights.safetensors"
        if options.timeline is not None:
            run = Run([weights], options.device, options.threads)
            manifest = folder / "labels" / "shard.csv"
            whole = partial(predict, parameters, index, weights, manifest, run=run)
            print_profile(whole, choose_device(options.device), options.timeline)
            return
        # A first run, so that neither side's time includes loading and setup.
        both_ways(parameters, index.shard(0, len(index)), weights, folder / "first", 1, options.device)
        runs = [
            both_ways(parameters, index, weights, folder / str(number), options.threads, options.device)
            for number in range(options.repeats)
        ]
    medians = []
    plain, ours, deviations = zip(*runs, strict=True)
    for name, times in (("plain loop", plain), ("predict", ours)):
        wall, processor = (statistics.median(kind) for kind in zip(*times, strict=True))
        medians.append(wall)
        each = " ".join(f"{seconds_:.2f}" for seconds_, _ in times)
        print(f"{name}: {wall:.2f} s ({each}), {options.images / wall:.2f} images/s; processor time {processor:.2f} s")
    print(last_line(medians[0] / medians[1], max(deviations)))


if __name__ == "__main__":
    main()
