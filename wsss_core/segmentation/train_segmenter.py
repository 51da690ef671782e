"""Stage `segmenter`: a segmentation network, trained on label maps."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import Segmenter
from wsss_core.config.semi_supervised import MasksOf
from wsss_core.config.trained_on import trained_on
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.networks.weights import load_layers, load_trunk
from wsss_core.segmentation.consistency import CrossConsistency
from wsss_core.segmentation.losses import segmentation_losses
from wsss_core.segmentation.mixed_labels import LabelMapSamples, order_with_share
from wsss_core.training.make_weights import Prepared, make_weights
from wsss_core.training.task import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingLabels:
    """The label maps for training: palette PNGs by image id; 0 is background, 255 is ignored."""

    label_maps: Mapping[str, Path]
    """Pseudo labels, or all masks; images without one are not used, or only for consistency."""
    masks: Mapping[str, Path] | None = None
    """Masks of some images, used in place of ``label_maps``."""
    masks_of: MasksOf | None = None
    """How these images are mixed with the others; None if there is only one kind."""
    dataset: str | None = None
    """Name of the data set, for the description of the training in the file of weights."""


@dataclass(frozen=True)
class StartingNetwork:
    """The weights at the start of a training."""

    file: Path
    """The file in the setting ``weights``, with a whole network (used without training if ``epochs: 0``); without that
    setting, a file with the trunk's weights."""
    trained_on: str
    """The data that the weights were trained on, in words; for the log, and the file of weights."""
    fully_connected: Path | None = None
    """The file with VGG-16's fc6 and fc7 for LargeFOV; None for random weights."""


def train_segmenter(
    parameters: Segmenter,
    trunk: Trunk,
    index: DatasetIndex,
    labels: TrainingLabels,
    start: StartingNetwork,
    weights: Path,
    training_csv: Path,
    run: Run = Run(),
) -> None:
    """Train a segmenter; a killed run continues after its last finished epoch.

    Args:
        parameters: network, loss, optimisation, augmentation.
        trunk: the trunk's settings.
        index: the training images.
        labels: the label maps for training.
        start: the weights to start from.
        weights: the file of weights to write.
        training_csv: the training curve to write: epoch, losses, learning rate.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the weights do not fit, a label map has another size than its image, there are too few images
            for the network or the share of masks, or the loss is no longer finite.
    """
    optimisation = parameters.optimisation
    name = parameters.network  # type: ignore[attr-defined]

    def prepare(device: torch.device) -> Prepared:
        network = build_segmenter(name, parameters.options, trunk, index.classes)
        if parameters.weights is None:
            load_trunk(start.file, network.trunk)
            if start.fully_connected is not None:
                load_layers(start.fully_connected, network)
        else:
            start_from_segmenter(start.file, network, whole=optimisation.epochs == 0)
        log.info("%s: its weights start from %s", name, start.trained_on)
        if optimisation.epochs == 0:
            return Prepared(None, lambda path: save_segmenter(path, network, trained_on(start.file)))
        # Without a list of masks, the label maps are either all pseudo labels or all masks.
        unlabelled = parameters.consistency is not None and not labels.label_maps
        samples = LabelMapSamples(index, labels.label_maps, parameters.augmentation, labels.masks, unlabelled)
        of = "" if labels.dataset is None else f" of {labels.dataset}"
        data = f"{start.trained_on}, segmentation labels of {samples.labelled} images{of}"
        task = _segmentation_task(network, parameters, samples, labels.masks_of)
        return Prepared(task, lambda path: save_segmenter(path, network, data))

    make_weights(weights, training_csv, optimisation, run, prepare)


def _segmentation_task(
    network: SegmentationNetwork,
    parameters: Segmenter,
    samples: LabelMapSamples,
    masks_of: MasksOf | None,
) -> Task:
    """The training on the labels of ``samples``."""
    optimisation = parameters.optimisation
    network.train()
    if parameters.freeze_batch_norm:
        freeze_batch_norm(network.trunk)
    images = min(optimisation.batch_size, len(samples))
    _check_parts(network, images, optimisation.accumulate)
    steps = len(samples) // images
    order = None
    if masks_of is not None:
        number = sum(samples.has_mask)
        log.info("training on %d images with masks and %d others", number, len(samples) - number)
        if masks_of.share is not None:
            order = order_with_share(samples.has_mask, masks_of.share, steps * images)
    groups, whole = network.parameter_groups(optimisation.head_factor), None
    if parameters.consistency is not None:
        passes = steps * optimisation.epochs * optimisation.accumulate
        whole = CrossConsistency(network, parameters.consistency, passes)
        groups.append(ParameterGroup(whole.decoders.parameters(), optimisation.head_factor))

    def prepare(batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        return *batch, torch.nonzero(~batch[2]).flatten()  # on the host, which has to know their number

    def loss(batch: tuple[Tensor, Tensor, Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, labels, has_mask, others = batch
        weights = None if masks_of is None else torch.where(has_mask, 1.0, masks_of.pseudo_weight)
        maps = network.encode(images)
        logits = network.all_logits(images, maps)
        supervised = segmentation_losses(logits, labels, parameters, weights).sum()
        if whole is None:
            return {"loss": supervised}
        further = whole.losses(maps, logits[-1], labels, others, parameters)
        return {"loss": supervised + sum(further.values()), "supervised": supervised, **further}

    return Task(
        network if whole is None else whole,
        samples,
        loss,
        groups,
        "training the segmenter",
        parts=optimisation.accumulate,
        prepare=prepare,
        order=order,
    )


def _check_parts(network: SegmentationNetwork, images: int, parts: int) -> None:
    """Refuse a step of ``images`` images if its parts are too small for the network."""
    least = network.least_images
    if least > 1 and images // parts < least:
        remedy = (
            "lower 'optimisation.accumulate'"
            if images >= least
            else "train on more images (a longer list, if 'masks_of' names one)"
        )
        raise UserError(
            f"training the segmenter: images in a step: {images}, parts of a step: {parts}; but the network "
            f"{network.description['network']} normalises over a part, which needs at least {least} images; {remedy}"
        )


def start_from_segmenter(path: Path, network: SegmentationNetwork, whole: bool) -> None:
    """Load the weights of another segmenter into ``network``, in place.

    Args:
        path: a file written by :func:`save_segmenter`.
        network: any segmenter with the same trunk.
        whole: require the same network, for the same classes; else the trunk is enough, and other layers are used if
            the classes are the same and names and shapes agree.

    Raises:
        UserError: the file is missing, damaged or for another trunk, or for another network although ``whole``.
    """
    given, wanted = load_segmenter(path), network.description
    if whole:
        differences = [
            f"{key} is {given.description[key]}, not {wanted[key]}"
            for key in ("network", "options", "trunk", "classes")
            if given.description[key] != wanted[key]
        ]
        if differences:
            raise UserError(
                f"{path}: holds another segmenter than the one to use without training: {'; '.join(differences)}"
            )
        network.load_state_dict(given.state_dict())
        return
    load_trunk(path, network.trunk)
    fresh = [name for name in network.state_dict() if not name.startswith("trunk.")]
    if given.classes == network.classes:
        own, other = network.state_dict(), given.state_dict()
        fitting = {name: other[name] for name in fresh if name in other and own[name].shape == other[name].shape}
        network.load_state_dict(fitting, strict=False)
        fresh = [name for name in fresh if name not in fitting]
    log.info("starting from %s; new layers: %s", path, ", ".join(fresh) or "none")
