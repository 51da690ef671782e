"""Compares a step of AdvCAM's climb with the authors' procedure, on the same network and image.

``python -m benchmarks.advcam`` runs the climb on pairs of image and mirror image of 375x500 pixels, on a ResNet-50 with
random weights. Steps of both sides alternate, and the medians are compared.

* The authors' procedure, in a simple form: a forward pass; a backward pass from the class's summed positive map, whose
  gradient at the features gives the Grad-CAM; a second backward pass from the loss. Weights require gradients, so both
  backward passes also compute those of all weights.
* Ours, ``wsss_core.cams.climbing.climb_step``: one forward pass, and one backward pass to the images, on the copy of
  the network that the stage `cams` uses. ``--pairs`` of them climb in one batch; times are for one pair.

``deviation`` is the largest difference between both sides' maps, summed over a short climb and divided by their
maximum: in float64 at a small size, where both have to be equal; with ``--precision bfloat16``, in the run itself,
where it is the effect of the precision.

``--profile`` instead prints how the time of the whole stage is spent, from JPEG files to HDF5
(``wsss_core.cams.generate_cams``); ``--images`` and ``--steps`` are for that run.
"""

import argparse
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.measuring import heading, last_line, matrix_product_flops, median_seconds, seconds, torch_threads
from benchmarks.one_pass import one_pass
from benchmarks.shard import Shard, print_profile
from wsss_core.cams.advcam import climb
from wsss_core.cams.climbing import climb_step
from wsss_core.cams.generate_cams import prepared_for_drawing
from wsss_core.config.cams import AdvCams
from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.folded import folded_for_inference

CLASSES = tuple(f"class{number}" for number in range(20))
EXACT_SIZE = (64, 96)
"""Height and width of the image for the climb in float64."""
EXACT_STEPS = 4
"""Steps of that climb, whose maps are summed."""
PARAMETERS = AdvCams(classifier="random")
"""The authors' step size, weights and thresholds."""


def make_classifier(network: str) -> ClassMapClassifier:
    """A classifier with random weights and the authors' output stride of 16."""
    torch.manual_seed(0)
    return ClassMapClassifier(Trunk(network=network, output_stride=16), CLASSES).eval()


def authors_step(
    classifier: ClassMapClassifier, images: Tensor, class_index: int, initial: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One iteration of the authors' ``obtain_CAM_masking.py``.

    Args:
        classifier: its weights require gradients.
        images: a pair (2, 3, h, w).
        class_index: the class of the climb.
        initial: the clean pair's map (h', w'); None if this is the clean pair.

    Returns:
        The map of the pair (h', w'), and the pair for the next step.
    """
    images = images.detach().requires_grad_()
    features = classifier.trunk(images)[-1]  # (2, F, h', w')
    logits = classifier.head(features)  # (2, K, h', w')
    gradients: list[Tensor] = []
    features.register_hook(gradients.append)
    classifier.zero_grad()
    logits[:, class_index].relu().sum().backward(retain_graph=True)
    weights = gradients[0].sum(dim=(2, 3)) / ((gradients[0] > 0).sum() + 1e-12)  # (2, F)
    maps = (weights[:, :, None, None] * features).sum(dim=1).relu()
    region = maps[0] + maps[1].flip(1)
    start = region.detach() if initial is None else initial
    mask = (region / region.max() > PARAMETERS.mask_threshold).to(region).detach()
    scores = logits.relu().mean(dim=(2, 3))  # (2, K)
    change = ((region - start).abs() * mask).sum()
    loss = 2 * scores[:, class_index].sum() - scores.sum() - PARAMETERS.regularisation * change
    classifier.zero_grad()
    images.grad = None
    loss.backward()
    assert images.grad is not None
    with torch.no_grad():
        moved = images + PARAMETERS.step_size * images.grad / (images.grad.abs().max() + 1e-12)
        return region.detach(), moved.clamp(images.min(), images.max())


def authors_climb(classifier: ClassMapClassifier, clean: Tensor, class_index: int, steps: int) -> Tensor:
    """The maps (h', w') of an image (3, h, w), summed over its steps."""
    images, initial, total = torch.stack([clean, clean.flip(2)]), None, torch.zeros(()).to(clean)
    for _ in range(steps):
        region, images = authors_step(classifier, images, class_index, initial)
        initial = region if initial is None else initial
        total = total + region
    return total


def deviation_of_climb(classifier: ClassMapClassifier, ours: ClassMapClassifier, clean: Tensor) -> float:
    """The largest difference between both sides' summed maps, divided by the authors' maximum."""
    classes = [3, 7]
    expected = torch.stack([authors_climb(classifier, clean, index, EXACT_STEPS) for index in classes])
    found = climb(ours, clean[None], [classes], EXACT_STEPS, PARAMETERS)
    return ((found - expected).abs().max() / expected.max()).item()


class Times(NamedTuple):
    """Medians of one side, seconds."""

    wall: float
    processor: float
    """Processor time of this process; on one thread of a busy machine it is more accurate than wall time."""


def interleaved(functions: Sequence[Callable[[], object]], repeats: int, device: torch.device) -> list[Times]:
    """Medians of functions' times, run in turn, after a run of each that is not counted."""
    times: list[list[Times]] = [[] for _ in functions]
    for number in range(repeats + 1):
        for function, own in zip(functions, times, strict=True):
            start = time.process_time()
            _, wall = seconds(function, device)
            own.extend([Times(wall, time.process_time() - start)] if number else [])
    return [Times(*(statistics.median(column) for column in zip(*own, strict=True))) for own in times]


def share_in_convolutions(function: Callable[[], object], device: torch.device) -> float:
    """The proportion of the time of all operations that is spent in convolutions, from torch's profiler."""
    on_cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]) as profiled:
        seconds(function, device)
    events = [event for event in profiled.key_averages() if event.device_type == DeviceType.CPU]
    spent = {event.key: event.self_device_time_total if on_cuda else event.self_cpu_time_total for event in events}
    return sum(value for name, value in spent.items() if "conv" in name) / max(sum(spent.values()), 1e-9)


def convolution_speed(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of a single 3x3 convolution with 512 channels, channels-last."""
    images = 16 if device.type == "cuda" else 2
    given = torch.rand(images, 512, 24, 32, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(512, 512, 3, padding=1, bias=False).to(given).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        _, duration = median_seconds(lambda: layer(given), 9, device)
    return 2 * 512 * 512 * 9 * given[:, 0].numel() / duration / 1e9


def main(arguments: Sequence[str] | None = None) -> None:
    """Run steps of both sides in turn and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.advcam", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--network", default="resnet50", help="a trunk's name (default: resnet50)")
    parser.add_argument("--pairs", type=int, default=1, help="pairs in a batch, on our side (default: 1)")
    parser.add_argument("--repeats", type=int, default=7, help="steps of each side (default: 7)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch's, on both sides (default: cores)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of our side")
    parser.add_argument("--profile", action="store_true", help="only print how a whole run's time is spent")
    parser.add_argument("--images", type=int, default=2, help="in that run (default: 2)")
    parser.add_argument("--steps", type=int, default=3, help="in that run (default: 3; the authors': 27)")
    parser.add_argument("--timeline", type=Path, help="with --profile: also write a trace to this file")
    options = parser.parse_args(arguments)
    if not 1 <= options.pairs <= len(CLASSES):
        parser.error(f"--pairs is {options.pairs}; it can be 1 to {len(CLASSES)}, one pair for each class")
    if not options.profile and (options.images, options.steps, options.timeline) != (2, 3, None):
        parser.error("--images, --steps and --timeline belong to --profile")
    with torch_threads(options.threads):
        print(heading(options.threads, options.device))
        if options.profile:
            profile_stage(options)
        else:
            compare(options)


def profile_stage(options: argparse.Namespace) -> None:
    """Print how the time of the stage `cams` is spent."""
    parameters = AdvCams(classifier="random", steps=options.steps, arithmetic=options.precision)
    sizes = f"{options.images} images of {options.height}x{options.width}, {options.steps} steps"
    print(f"{options.network}, random weights; {sizes}, scales {parameters.scales}, {options.precision}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        classifier = make_classifier(options.network)
        shard = Shard(Path(folder), classifier, options.images, options.height, options.width)
        print_profile(lambda: shard.draw(parameters, options.device), options.device, options.timeline)


def compare(options: argparse.Namespace) -> None:
    """Print all figures."""
    device, in_bfloat16 = options.device, options.precision == "bfloat16"
    pairs = f"{options.pairs} pair{'s' * (options.pairs > 1)} of {options.height}x{options.width} in a batch"
    print(f"{options.network}, random weights, {len(CLASSES)} classes; {pairs}, {options.precision}", flush=True)
    classifier = make_classifier(options.network).to(device)
    arithmetic = AdvCams(classifier="random", arithmetic=options.precision)
    ours = prepared_for_drawing(copy.deepcopy(classifier).requires_grad_(False), arithmetic)
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(3, options.height, options.width, generator=generator).to(device)

    pair = torch.stack([clean, clean.flip(2)])  # (2, 3, h, w)
    initial, _ = authors_step(classifier, pair, 0, None)
    classes = torch.arange(options.pairs, device=device)
    positive = ours.positive_weights(classes)
    ours_given = (pair.repeat(options.pairs, 1, 1, 1), classes, positive, initial.repeat(options.pairs, 1, 1))

    def own_step() -> object:
        return climb_step(ours, *ours_given, PARAMETERS)

    sides = (lambda: authors_step(classifier, pair, 0, initial), own_step)
    authors_times, own_times = interleaved(sides, options.repeats, device)
    plain, own = authors_times.wall, own_times.wall / options.pairs
    print(f"authors' procedure: {plain:.4f} s a step (median of {options.repeats})")
    print(f"ours: {own:.4f} s a step (median of {options.repeats}), ratio {plain / own:.2f}", flush=True)
    if device.type == "cpu":
        theirs, busy = authors_times.processor, own_times.processor / options.pairs
        print(f"processor time: {theirs:.4f} s and {busy:.4f} s, ratio {theirs / busy:.2f}")
    print(f"time in convolutions: {100 * share_in_convolutions(own_step, device):.0f} % of our step")
    size = (options.height, options.width)
    operations = 2 * one_pass(lambda: make_classifier(options.network), size, trained=False).operations
    dtype = torch.bfloat16 if in_bfloat16 else torch.float32
    product, convolution = matrix_product_flops(device, dtype) / 1e9, convolution_speed(device, dtype)
    achieved = operations / own / 1e9
    print(
        f"{operations / 1e9:.1f} GFLOP a step: {achieved:.0f} GFLOP/s, {100 * achieved / product:.0f} % of a large "
        f"matrix product's {product:.0f}, {100 * achieved / convolution:.0f} % of a single 3x3 convolution's "
        f"{convolution:.0f}",
        flush=True,
    )
    as_run = deviation_of_climb(classifier, ours, clean)
    print(f"deviation of maps in {options.precision}, as run, over {EXACT_STEPS} steps: {as_run:.3g}")
    small = clean[:, : EXACT_SIZE[0], : EXACT_SIZE[1]].double()
    double = classifier.double()
    exact = deviation_of_climb(double, folded_for_inference(double), small)
    print(f"deviation of maps in float64 at {small.shape[1]}x{small.shape[2]}: {exact:.3g}")
    print(last_line(plain / own, as_run if in_bfloat16 else exact))


if __name__ == "__main__":
    main()
