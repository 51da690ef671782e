"""Estimates a recipe's needs on a GPU, without a GPU: the ESTIMATE at the top of each recipe in ``configs/``.

``python -m benchmarks.gpu_needs configs/voc12-aeft.yaml 10582`` builds the recipe's networks without memory (torch's
fake tensors), runs a forward and a backward pass for one image with the recipe's shape, and counts floating-point
operations and the bytes kept for the backward pass. From these, and the number of training images, follow:

* hours = operations of all steps / ``SUSTAINED``, the usual speed of a good GPU in float32 (the peak of a V100 or an
  A100 without TF32 is 16 to 20 TFLOP/s). The real time may well be half or twice as long.
* GiB = kept bytes of a batch + weights, their gradients and momentum + ``OF_CUDA``; workspaces may add a half. With
  ``runtime.recompute``, only the inputs of residual blocks are kept, and the values inside the largest block.

Hours are for one job of a variant; the number of jobs that the experiments need is printed after them.

Nothing is measured. Class maps use the largest batch that fits in memory, but at least one image. Random walk,
predictions and the processor's work are not included.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.one_pass import Pass, one_pass
from wsss_core.classifiers.objective import OBJECTIVES
from wsss_core.config import Config, load_config, read_yaml
from wsss_core.config.refinement import LearnedAffinity
from wsss_core.config.trunk_description import trunk_of
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import NETWORKS, build_segmenter
from wsss_core.networks.trunks import build_trunk
from wsss_core.plan.plan import Plan
from wsss_core.refinement.affinity_method import learned_method

SUSTAINED = 10e12
"""Floating-point operations per second."""
OF_CUDA = 1.0
"""GiB that CUDA and torch need themselves."""
GIB = 2**30
CLASSES_PER_IMAGE = {20: 1.5, 80: 2.9}
"""Mean classes of an image in VOC and COCO, by the number of classes: AdvCAM has one climb for each."""
PIXELS = (375, 500)
"""Height and width of a typical image."""
ONE_SIZE = 256
"""Height and width of all images in SeeNet."""


@dataclass(frozen=True)
class Needs:
    """The needs of a stage."""

    stage: str
    """The stage and its variant."""
    hours: float
    """Hours on one GPU."""
    gib: float | None
    """Memory of the GPU; None if it is less than for the trainings."""
    jobs: int = 1
    """Number of jobs for the configuration's experiments."""


def needs(config: Config, images: int) -> list[Needs]:
    """The needs of each variant that an experiment of the configuration uses.

    Args:
        config: the configuration.
        images: number of training images.
    """
    jobs = planned_jobs(config)
    return [replace(one, jobs=jobs.get(one.stage, 1)) for one in _of_variants(config, images)]


def planned_jobs(config: Config) -> dict[str, int]:
    """The number of trainings of each affinity and segmenter; stages before them need one for each variant."""
    plan = Plan(config)
    artifacts: dict[str, set[str]] = defaultdict(set)
    for name, experiment in config.experiments.items():
        for stage, variant in (("affinity", experiment.affinity), ("segmenter", experiment.segmenter)):
            if variant is not None and stage in plan.experiments[name]:
                artifacts[f"{stage} {variant}"].add(str(plan.experiments[name][stage].directory))
    return {stage: len(directories) for stage, directories in artifacts.items()}


def _of_variants(config: Config, images: int) -> list[Needs]:
    """The needs of one job of each variant."""
    classes = config.dataset.class_names or ()
    experiments = config.experiments.values()
    maps = dict.fromkeys(e.cams for e in experiments if e.cams is not None)
    affinities = dict.fromkeys(e.affinity for e in experiments if e.affinity is not None)
    learned = [name for name in affinities if isinstance(config.affinities[name], LearnedAffinity)]
    segmenters = dict.fromkeys(e.segmenter for e in experiments if e.segmenter is not None)
    classifiers = dict.fromkeys(config.cams[name].classifier for name in maps)
    judges = [getattr(config.classifiers[name], "ordinary", None) for name in classifiers]
    classifiers |= dict.fromkeys(name for name in judges if name is not None)
    trained = [name for name in classifiers if config.classifiers[name].optimisation.epochs > 0]
    learned = [name for name in affinities if isinstance(config.affinities[name], LearnedAffinity)]
    return [
        *(_of_classifier(config, name, images, classes) for name in trained),
        *(_of_maps(config, name, images, classes) for name in maps),
        *(_of_affinity(config, name, images) for name in learned),
        *(_of_segmenter(config, name, images, classes) for name in segmenters),
    ]


def _of_classifier(config: Config, name: str, images: int, classes: Sequence[str]) -> Needs:
    settings: Any = config.classifiers[name]
    trunk = trunk_of(config.backbones[settings.backbone])
    crop, epochs = settings.augmentation.crop, settings.optimisation.epochs
    step = one_pass(lambda: OBJECTIVES.find(settings.objective).build_network(settings, trunk, classes), (crop, crop))
    views, at_once = images * epochs, settings.optimisation.batch_size
    if settings.objective == "cgnet" and settings.erasing != "none":
        # The frozen classifier needs a forward pass for the erased image, and a backward pass to the image;
        # its blocks are not recomputed.
        step = Pass(step.operations * 5 / 3, step.kept * 2, step.weights * 4 / 3, step.recomputed + step.kept)
    if settings.objective == "aeft" and settings.attraction_weight > 0:  # also the erased image
        views += images * (epochs - settings.warmup_epochs)
        at_once = 2 * (settings.triplet_batch_size or at_once)
    elif settings.objective == "aeft":
        at_once = settings.triplet_batch_size or at_once
    return _of_training(config, f"classifier {name}", step, views, at_once)


def _of_maps(config: Config, name: str, images: int, classes: Sequence[str]) -> Needs:
    cams: Any = config.cams[name]
    settings: Any = config.classifiers[cams.classifier]
    trunk = trunk_of(config.backbones[settings.backbone])
    if cams.method == "clip_gradcam":  # one view; the backward pass only covers one block
        step = one_pass(lambda: build_trunk(trunk), PIXELS, trained=False)
        return Needs(f"cams {name}", step.operations / 2 * images / SUSTAINED / 3600, None)
    step = one_pass(
        lambda: OBJECTIVES.find(settings.objective).build_network(settings, trunk, classes), PIXELS, trained=False
    )
    if cams.method == "advcam":
        at_half = cams.steps // 2 if cams.steps > 10 else min(cams.steps, 5)
        steps = sum(scale**2 * (at_half if scale == 0.5 else cams.steps) for scale in cams.scales)
        operations = step.operations * steps * CLASSES_PER_IMAGE[len(classes)]
    else:
        scales = getattr(cams, "scales", (ONE_SIZE / PIXELS[0] ** 0.5 / PIXELS[1] ** 0.5,))
        operations = step.operations / 2 * sum(scale**2 for scale in scales)  # no backward pass
    return Needs(f"cams {name}", 2 * operations * images / SUSTAINED / 3600, None)  # with the mirror image


def _of_affinity(config: Config, name: str, images: int) -> Needs:
    settings: Any = config.affinities[name]
    trunk = trunk_of(config.backbones[settings.backbone])
    crop, optimisation = settings.augmentation.crop, settings.optimisation
    step = one_pass(lambda: learned_method(settings.method).build(settings, trunk).network, (crop, crop))
    views = images * optimisation.epochs
    return _of_training(config, f"affinity {name}", step, views, optimisation.batch_size)


def _of_segmenter(config: Config, name: str, images: int, classes: Sequence[str]) -> Needs:
    settings: Any = config.segmenters[name]
    trunk = trunk_of(config.backbones[settings.backbone])
    crop, optimisation = settings.augmentation.crop, settings.optimisation

    def build() -> SegmentationNetwork:
        return build_segmenter(settings.network, settings.options, trunk, classes)

    together = NETWORKS[settings.network].least_images
    step = one_pass(build, (crop, crop), images=together)
    if settings.consistency is not None:
        decoders = sum(settings.consistency.decoders.counts.values())
        consistent = one_pass(lambda: WithAuxiliaryDecoders(build(), decoders), (crop, crop), images=together)
        shares = {e.masks_of.share for e in config.experiments.values() if e.masks_of and e.segmenter == name}
        others = 1 - min(share or 0 for share in shares or {0})  # proportion of images for auxiliary decoders
        step = Pass(
            step.operations + others * (consistent.operations - step.operations),
            step.kept + others * (consistent.kept - step.kept),
            consistent.weights,
            step.recomputed + others * (consistent.recomputed - step.recomputed),
        )
    at_once = optimisation.batch_size // optimisation.accumulate
    return _of_training(config, f"segmenter {name}", step, images * optimisation.epochs, at_once)


class WithAuxiliaryDecoders(nn.Module):
    """A segmenter in cross-consistency training: its logits, and the probabilities of each auxiliary decoder."""

    def __init__(self, network: SegmentationNetwork, decoders: int) -> None:
        """Build ``decoders`` auxiliary decoders."""
        super().__init__()
        self.network = network
        self.decoders = nn.ModuleList(network.auxiliary_decoder() for _ in range(decoders))

    def forward(self, images: Tensor) -> list[Tensor]:
        """The segmenter's logits and the decoders' probabilities."""
        maps = self.network.encode(images)
        probabilities = [decoder(maps[-1]).softmax(dim=1).square() for decoder in self.decoders]
        return [*self.network.all_logits(images, maps), *probabilities]


def _of_training(config: Config, stage: str, step: Pass, views: float, at_once: int) -> Needs:
    """The needs of a training on ``views`` images in total, ``at_once`` in a step."""
    recomputed = f"train_{stage.split()[0]}" in config.runtime.recompute
    kept = step.recomputed if recomputed else step.kept
    gib = (kept * at_once + 3 * step.weights) / GIB + OF_CUDA
    operations = step.operations * (4 / 3 if recomputed else 1)  # a second forward pass
    return Needs(stage, operations * views / SUSTAINED / 3600, gib)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("images", type=int, help="training images")
    arguments = parser.parse_args()
    config = load_config(read_yaml(arguments.recipe))
    found = needs(config, arguments.images)
    for item in found:
        memory = "" if item.gib is None else f", {item.gib:.0f} GiB"
        number = f", each of {item.jobs} jobs" if item.jobs > 1 else ""
        print(f"#   {item.stage}: {item.hours:.1f} h{memory}{number}")
    print(f"#   all jobs together: {sum(item.hours * item.jobs for item in found):.0f} h")


if __name__ == "__main__":
    main()
