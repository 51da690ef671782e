"""Compares multi-scale class maps of a shard, from JPEG files to HDF5, with a simple sequential procedure.

``python -m benchmarks.multiscale`` computes the maps of images of 375x500 pixels with a ResNet-50 with random weights.
Both sides run in turn, and their medians are compared.

* The baseline is a simple form of IRN's ``make_cam.py``: it reads an image, and for each scale rescales it, and runs
  the network, as it was trained, on the image and its mirror image; then it sums the maps, and saves the dictionary
  with ``np.save``. It uses no gradients.
* Ours is the stage `cams` itself, ``wsss_core.cams.generate_cams``, including reading the classifier's weights.

``deviation`` is the largest difference between both sides' stored maps, in [0, 1]: ours are float16, which alone causes
2e-4. ``--profile`` instead prints how our side's time is spent.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.advcam import interleaved, make_classifier
from benchmarks.measuring import heading, last_line, torch_threads
from benchmarks.shard import Shard, print_profile
from wsss_core.cams.map_sizes import EPSILON
from wsss_core.config.cams import MultiscaleCams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.networks.classifier_files import load_classifier

Maps = dict[str, np.ndarray]
"""An image's classes and maps."""


def one_after_the_other(shard: Shard, parameters: MultiscaleCams, device: torch.device) -> list[Maps]:
    """The baseline; writes a file with a dictionary as in IRN for each image, and returns the dictionaries."""
    classifier, made = load_classifier(shard.classifier, device), []
    index = shard.index
    for image_id, path, labels in zip(index.image_ids, index.image_paths, index.label_matrix, strict=True):
        image, classes = read_image(path), torch.from_numpy(np.flatnonzero(labels)).to(device)
        height, width = image.shape[:2]
        small = (-(-height // 4), -(-width // 4))
        large = (-(-height // 16) * 16, -(-width // 16) * 16)
        sums: list[Tensor | float] = [0.0, 0.0]
        with torch.no_grad():
            for scale in parameters.scales:
                clean = normalise(rescale(image, scale)).to(device)
                maps = classifier.class_maps(torch.stack([clean, clean.flip(2)])).relu()  # (2, all classes, h, w)
                both = (maps[0] + maps[1].flip(2))[None]
                sums = [total + _resized(both, size) for total, size in zip(sums, (small, large), strict=True)]
            cam, high_res = (maps[classes][:, :height, :width] for maps in sums if isinstance(maps, Tensor))
            kept = {name: _normalised(maps) for name, maps in (("cam", cam), ("high_res", high_res))}
        made.append({"keys": classes.cpu().numpy(), **kept})
        np.save(shard.folder / f"{image_id}.npy", made[-1])  # type: ignore[arg-type]
    return made


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)[0]


def _normalised(maps: Tensor) -> np.ndarray:
    return (maps / (maps.amax(dim=(1, 2), keepdim=True) + EPSILON)).cpu().numpy()


def largest_difference(shard: Shard, ours: Path, theirs: Sequence[Maps]) -> float:
    """The largest difference between both sides' maps of all images."""
    found = 0.0
    with CamStoreReader([ours]) as reader:
        for image_id, expected in zip(shard.index.image_ids, theirs, strict=True):
            cams = reader.read(image_id)
            assert cams.high_res is not None and cams.classes.tolist() == expected["keys"].tolist()
            for own, other in ((cams.cam, expected["cam"]), (cams.high_res, expected["high_res"])):
                found = max(found, float(np.abs(own - other).max()))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both sides in turn and print the figures, or profile our side."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.multiscale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=3, help="in the shard (default: 3; use 64 on a GPU)")
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--network", default="resnet50", help="a trunk's name (default: resnet50)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch's, on both sides (default: cores)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of our side")
    parser.add_argument("--profile", action="store_true", help="only print how our side's time is spent")
    parser.add_argument("--timeline", type=Path, help="with --profile: also write a trace to this file")
    options = parser.parse_args(arguments)
    if options.timeline and not options.profile:
        parser.error("--timeline belongs to --profile")
    parameters = MultiscaleCams(classifier="random", arithmetic=options.precision)
    with torch_threads(options.threads), tempfile.TemporaryDirectory() as folder:
        classifier = make_classifier(options.network)
        shard = Shard(Path(folder), classifier, options.images, options.height, options.width)
        print(heading(options.threads, options.device))
        sizes = f"{options.images} images of {options.height}x{options.width}, scales {parameters.scales}"
        print(f"{options.network}, random weights; {sizes}, {options.precision}", flush=True)
        if options.profile:
            print_profile(lambda: shard.draw(parameters, options.device), options.device, options.timeline)
            return
        compare(shard, parameters, options)


def compare(shard: Shard, parameters: MultiscaleCams, options: argparse.Namespace) -> None:
    """Print the figures of both sides."""
    made: dict[str, Path | list[Maps]] = {}

    def theirs() -> None:
        made["theirs"] = one_after_the_other(shard, parameters, options.device)

    def ours() -> None:
        made["ours"] = shard.draw(parameters, options.device)

    plain, own = interleaved((theirs, ours), options.repeats, options.device)
    for name, times in (("one after the other", plain), ("ours", own)):
        speed = options.images / times.wall
        print(f"{name}: {times.wall:.3f} s (median of {options.repeats}), {speed:.2f} images/s", flush=True)
    if options.device.type == "cpu":
        ratio = plain.processor / own.processor
        print(f"processor time: {plain.processor:.3f} s and {own.processor:.3f} s, ratio {ratio:.2f}")
    deviation = largest_difference(shard, made["ours"], made["theirs"])  # type: ignore[arg-type]
    print(last_line(plain.wall / own.wall, deviation))


if __name__ == "__main__":
    main()
