"""Stage `segmenter`: a segmentation network, trained on label maps."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import Segmenter
from wsss_core.config.semi_supervised import MasksOf
from wsss_core.config.trained_on import trained_on
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.devices import choose_device
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.networks.weights import load_trunk
from wsss_core.segmentation.consistency import CrossConsistency
from wsss_core.segmentation.losses import segmentation_losses
from wsss_core.segmentation.mixed_labels import LabelMapSamples, order_with_share
from wsss_core.training.curve import write_curve
from wsss_core.training.distributed import decided_by_main_process, is_main_process
from wsss_core.training.loop import fit, mix_seed

log = logging.getLogger(__name__)


def train_segmenter(
    parameters: Segmenter,
    trunk: Trunk,
    index: DatasetIndex,
    label_maps: Mapping[str, Path],
    initial_weights: Path,
    initialisation: str,
    weights: Path,
    training_csv: Path,
    masks: Mapping[str, Path] | None = None,
    masks_of: MasksOf | None = None,
    dataset: str | None = None,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
    workers: int = 0,
) -> None:
    """Train a segmenter; a killed run goes on after its last finished epoch.

    Args:
        parameters: network, loss, optimisation, augmentation.
        trunk: the trunk's settings.
        index: the training images.
        label_maps: palette PNGs by image id; 0 is background, 255 is left out.
        initial_weights: the file that ``parameters.weights`` names, with a whole network to start from (or, with
            ``epochs: 0``, to use as it is); without that setting a file with the trunk's weights.
        initialisation: what these weights have been trained on, in words; for the log, and the file of weights.
        weights: the file of weights to make.
        training_csv: the training curve to make: epoch, losses, learning rate.
        masks: of some images, in place of ``label_maps``; palette PNGs by image id.
        masks_of: how these images are mixed with the others; None if there are no such two kinds.
        dataset: name of the data set, for the file of weights: it is part of what the network was trained on.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes that load images.

    Raises:
        UserError: the weights do not fit, a label map has another size than its image, there are too few images
            for the network or the share of masks, or the loss is not finite any more.
    """
    partial = PartialWork(weights.parent, "training", inputs)
    if decided_by_main_process(lambda: partial.restore(weights, training_csv)):
        return
    optimisation = parameters.optimisation
    torch.manual_seed(mix_seed(optimisation.seed))
    name = parameters.network  # type: ignore[attr-defined]
    network = build_segmenter(name, parameters.options, trunk, index.classes)
    if parameters.weights is None:
        load_trunk(initial_weights, network.trunk)
    else:
        start_from_segmenter(initial_weights, network, whole=optimisation.epochs == 0)
    log.info("%s: its weights start from %s", name, initialisation)
    curve: list[dict[str, float]] = []
    told = trained_on(initial_weights)
    if optimisation.epochs > 0:
        # Without a list of masks, the label maps are all pseudo labels or all masks.
        unlabelled = parameters.consistency is not None and not label_maps
        samples = LabelMapSamples(index, label_maps, parameters.augmentation, masks, unlabelled)
        curve = _fit_segmenter(network, parameters, samples, masks_of, partial, device, workers)
        of = "" if dataset is None else f" of {dataset}"
        told = f"{initialisation}, segmentation labels of {samples.labelled} images{of}"
    if is_main_process():
        write_curve(curve, training_csv)
        save_segmenter(weights, network, told)
        partial.finish(weights, training_csv)


def _fit_segmenter(
    network: SegmentationNetwork,
    parameters: Segmenter,
    samples: LabelMapSamples,
    masks_of: MasksOf | None,
    partial: PartialWork,
    device: str,
    workers: int,
) -> list[dict[str, float]]:
    """Train ``network`` in place, and return the training curve."""
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

    def loss(batch: tuple[Tensor, Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, labels, has_mask = batch
        weights = None if masks_of is None else torch.where(has_mask, 1.0, masks_of.pseudo_weight)
        maps = network.trunk(images)
        logits = network.all_logits(images, maps)
        supervised = segmentation_losses(logits, labels, parameters, weights).sum()
        if whole is None:
            return {"loss": supervised}
        further = whole.losses(maps, logits[-1], labels, has_mask, parameters)
        return {"loss": supervised + sum(further.values()), "supervised": supervised, **further}

    return fit(
        network if whole is None else whole,
        samples,
        loss,
        groups,
        optimisation,
        partial,
        choose_device(device),
        workers,
        "training the segmenter",
        parts=optimisation.accumulate,
        order=order,
    )


def _check_parts(network: SegmentationNetwork, images: int, parts: int) -> None:
    """Refuse a step of so many images if its parts are too small for the network."""
    least = network.least_images
    if least > 1 and images // parts < least:
        remedy = (
            "lower 'optimisation.accumulate'"
            if images >= least
            else "train on more images (a longer list, if 'masks_of' names one)"
        )
        raise UserError(
            f"training the segmenter: the images of a step are {images}, in parts: {parts}, and network: "
            f"{network.description['network']} normalises over the images of a part, {least} at least; {remedy}"
        )


def start_from_segmenter(path: Path, network: SegmentationNetwork, whole: bool) -> None:
    """Put the weights of another segmenter into ``network``, in place.

    Args:
        path: a file of :func:`save_segmenter`.
        network: any segmenter with the same trunk.
        whole: the file has to hold the very same network, for the same classes; else the trunk is enough, and
            other layers are taken where the classes are the same and names and shapes agree.

    Raises:
        UserError: the file is missing, damaged or of another trunk, or ``whole`` and of another network.
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
                f"{path}: holds a segmenter other than the one to be used without training: {'; '.join(differences)}"
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
