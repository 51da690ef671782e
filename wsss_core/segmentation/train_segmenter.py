"""Stage `segmenter`: a segmentation network, trained on label maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLab
from wsss_core.config.training import Augmentation
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.palette import IGNORED
from wsss_core.datasets.transforms import TrainingTransform
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import build_deeplab, save_deeplab
from wsss_core.networks.resnet import freeze_batch_norm
from wsss_core.networks.weights import load_trunk, trainable
from wsss_core.resume import PartialWork
from wsss_core.training.curve import write_curve
from wsss_core.training.distributed import decided_by_main_process, is_main_process, mean_over_processes
from wsss_core.training.loop import ParameterGroup, fit, mix_seed


class LabelMapSamples:
    """Training images with their label maps."""

    def __init__(self, index: DatasetIndex, label_maps: Mapping[str, Path], augmentation: Augmentation) -> None:
        """Take the images of ``index`` that have a label map."""
        pairs = zip(index.image_ids, index.image_paths, strict=True)
        self.files = [(path, label_maps[image_id]) for image_id, path in pairs if image_id in label_maps]
        if not self.files:
            raise UserError(f"none of the {len(index)} training images has a label map or mask to be trained on")
        self.transform = TrainingTransform(augmentation)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_file, label_file = self.files[index]
        image, labels = read_image(image_file), read_mask(label_file)
        if image.shape[:2] != labels.shape:
            raise UserError(
                f"{label_file}: the label map is {labels.shape[0]} x {labels.shape[1]} pixels, "
                f"its image {image_file} {image.shape[0]} x {image.shape[1]}"
            )
        image_tensor, label_tensor = self.transform(image, labels)
        assert label_tensor is not None
        return image_tensor, label_tensor


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy over the labelled pixels; of all processes' parts of the batch, if several train.

    Args:
        logits: (B, K + 1, h, w), brought to the labels' size bilinearly.
        labels: (B, H, W) int64; 255 is left out.

    Returns:
        The mean over labelled pixels; 0 if there are none.
    """
    logits = functional.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / mean_over_processes((labels != IGNORED).sum()).clamp(min=1)


def train_segmenter(
    parameters: DeepLab,
    trunk: Trunk,
    index: DatasetIndex,
    label_maps: Mapping[str, Path],
    initial_weights: Path,
    weights: Path,
    training_csv: Path,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
    workers: int = 0,
) -> None:
    """Train a segmenter; a killed run goes on after its last finished epoch.

    Args:
        parameters: network, optimisation, augmentation.
        trunk: the trunk's settings.
        index: the training images.
        label_maps: palette PNGs by image id; 0 is background, 255 is left out.
        initial_weights: file of weights that the trunk starts from.
        weights: the file of weights to make.
        training_csv: the training curve to make: epoch, loss, learning rate.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes that load images.

    Raises:
        UserError: the weights do not fit, a label map has another size than its image, or the loss is
            not finite any more.
    """
    partial = PartialWork(weights.parent, "training", inputs)
    if decided_by_main_process(lambda: partial.restore(weights, training_csv)):
        return
    optimisation = parameters.optimisation
    torch.manual_seed(mix_seed(optimisation.seed))
    network = build_deeplab(parameters, trunk, index.classes)
    load_trunk(initial_weights, network.trunk)
    network.train()
    if parameters.freeze_batch_norm:
        freeze_batch_norm(network)
    groups = [
        ParameterGroup(trainable(network.trunk), 1),
        ParameterGroup(network.new_layers(), optimisation.head_factor),
    ]

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, labels = batch
        return {"loss": segmentation_loss(network(images), labels)}

    samples = LabelMapSamples(index, label_maps, parameters.augmentation)
    place = choose_device(device)
    curve = fit(network, samples, loss, groups, optimisation, partial, place, workers, "training the segmenter")
    if is_main_process():
        write_curve(curve, training_csv)
        save_deeplab(weights, network, parameters, trunk)
        partial.finish(weights, training_csv)
