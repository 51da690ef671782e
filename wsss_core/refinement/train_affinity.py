"""Stage `affinity`: AffinityNet, trained on pairs of confidently labelled pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import AffinityNet
from wsss_core.config.training import Augmentation
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.palette import IGNORED
from wsss_core.datasets.transforms import TrainingTransform
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.affinitynet import AffinityNetwork, save_affinitynet
from wsss_core.networks.resnet import freeze_batch_norm
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_trunk, trainable
from wsss_core.refinement.affinity_pairs import (
    Offset,
    neighbour_offsets,
    pair_affinities,
    pair_windows,
)
from wsss_core.resume import PartialWork
from wsss_core.training.curve import write_curve
from wsss_core.training.distributed import is_main_process, mean_over_processes
from wsss_core.training.loop import ParameterGroup, fit, mix_seed

EPSILON = 1e-5
"""Added in logarithms and to counts, as in AffinityNet's code."""


class ConfidentlyLabelledImages:
    """Training images with their confident label maps, reduced to the affinity grid."""

    def __init__(
        self,
        index: DatasetIndex,
        confident_labels: Mapping[str, Path],
        augmentation: Augmentation,
        stride: int,
    ) -> None:
        """Take the images of ``index``.

        Raises:
            UserError: an image has no label map.
        """
        without = [name for name in index.image_ids if name not in confident_labels]
        if without:
            raise UserError(
                f"{len(without)} of {len(index)} training images have no confident label map, "
                f"{without[0]!r} the first; make the affinity labels again"
            )
        self.images = index.image_paths
        self.label_maps = [confident_labels[name] for name in index.image_ids]
        self.transform = TrainingTransform(augmentation)
        self.stride = stride

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        image, labels = read_image(self.images[position]), read_mask(self.label_maps[position])
        if image.shape[:2] != labels.shape:
            raise UserError(
                f"{self.label_maps[position]}: the label map's size {labels.shape} is not that of "
                f"its image, {image.shape[:2]}; make the affinity labels again"
            )
        image_tensor, label_tensor = self.transform(image, labels)
        assert label_tensor is not None
        return image_tensor, reduce_labels(label_tensor, self.stride)


def reduce_labels(labels: Tensor, stride: int) -> Tensor:
    """The label at the middle of each cell: int64 (H, W) to (ceil(H / stride), ceil(W / stride))."""
    rows, columns = ((torch.arange(0, side, stride) + stride // 2).clamp(max=side - 1) for side in labels.shape)
    return labels[rows[:, None], columns]


def affinity_losses(affinities: Tensor, labels: Tensor, offsets: Sequence[Offset]) -> dict[str, Tensor]:
    """AffinityNet's loss over all pairs of labelled cells (Ahn & Kwak, equations 6 to 9).

    A pair of the background or of one class should have affinity 1, a pair of different labels 0.
    The three kinds are averaged each by itself, as they differ much in number.

    Args:
        affinities: (B, P, h, w), values in [0, 1], as of ``pair_affinities``.
        labels: int64 (B, h, w): 0 background, 1 and up the classes, 255 without label.
        offsets: the P offsets.

    Returns:
        Scalars ``background``, ``foreground``, ``negative`` (mean cross-entropies) and ``loss``,
        background / 4 + foreground / 4 + negative / 2. A kind without pairs has 0.
    """
    height, width = labels.shape[1:]
    others = torch.full_like(affinities, IGNORED, dtype=labels.dtype)
    for p, offset in enumerate(offsets):
        (rows, columns), (rows_2, columns_2) = pair_windows(offset, height, width)
        others[:, p, rows, columns] = labels[:, rows_2, columns_2]
    firsts = labels[:, None]
    labelled = (firsts != IGNORED) & (others != IGNORED)
    same = labelled & (firsts == others)
    background, foreground = same & (firsts == 0), same & (firsts != 0)
    negative = labelled & (firsts != others)
    attraction = -torch.log(affinities + EPSILON)
    repulsion = -torch.log(1 + EPSILON - affinities)
    losses = {
        "background": _mean_over(attraction, background),
        "foreground": _mean_over(attraction, foreground),
        "negative": _mean_over(repulsion, negative),
    }
    loss = losses["background"] / 4 + losses["foreground"] / 4 + losses["negative"] / 2
    return {"loss": loss, **losses}


def _mean_over(values: Tensor, pairs: Tensor) -> Tensor:
    return (values * pairs).sum() / (mean_over_processes(pairs.sum(dtype=values.dtype)) + EPSILON)


def train_affinity(
    parameters: AffinityNet,
    trunk: Trunk,
    index: DatasetIndex,
    confident_labels: Mapping[str, Path],
    initial_weights: Path,
    weights: Path,
    training_csv: Path,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
    workers: int = 0,
) -> None:
    """Train AffinityNet; a killed run goes on after its last finished epoch.

    Args:
        parameters: grid, radius, optimisation, augmentation.
        trunk: the trunk's settings.
        index: the training images.
        confident_labels: by image id the file of its confident label map.
        initial_weights: a file with the trunk's weights to start from.
        weights: the file of weights to make.
        training_csv: the training curve to make: epoch, losses, learning rate.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes that load images.

    Raises:
        UserError: the weights do not fit, a label map is missing or of another size, or the loss
            is not finite any more.
    """
    partial = PartialWork(weights.parent, "training", inputs)
    if partial.restore(weights, training_csv):
        return
    optimisation = parameters.optimisation
    torch.manual_seed(mix_seed(optimisation.seed))
    network = AffinityNetwork(build_trunk(trunk), parameters.stride, parameters.radius)
    load_trunk(initial_weights, network.trunk)
    network.train()
    if parameters.freeze_batch_norm:
        freeze_batch_norm(network)
    offsets = neighbour_offsets(parameters.radius)

    def losses(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, labels = batch
        return affinity_losses(pair_affinities(network(images), offsets), labels, offsets)

    curve = fit(
        network,
        ConfidentlyLabelledImages(index, confident_labels, parameters.augmentation, parameters.stride),
        losses,
        [
            ParameterGroup(trainable(network.trunk), 1),
            ParameterGroup(network.new_parameters(), optimisation.head_factor),
        ],
        optimisation,
        partial,
        choose_device(device),
        workers,
        "training AffinityNet",
    )
    if is_main_process():
        write_curve(curve, training_csv)
        save_affinitynet(weights, network, trunk)
        partial.finish(weights, training_csv)
