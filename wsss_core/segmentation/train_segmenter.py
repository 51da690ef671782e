"""Stage `segmenter`: a segmentation network, trained on label maps."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import Segmenter
from wsss_core.config.training import Augmentation
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import TrainingTransform
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.resnet import freeze_batch_norm
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.networks.weights import load_trunk
from wsss_core.resume import PartialWork
from wsss_core.segmentation.losses import segmentation_losses
from wsss_core.training.curve import write_curve
from wsss_core.training.distributed import decided_by_main_process, is_main_process
from wsss_core.training.loop import fit, mix_seed

log = logging.getLogger(__name__)


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


def train_segmenter(
    parameters: Segmenter,
    trunk: Trunk,
    index: DatasetIndex,
    label_maps: Mapping[str, Path],
    initial_weights: Path,
    initialisation: str,
    weights: Path,
    training_csv: Path,
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
        initialisation: what these weights have been trained on, in words; for the log.
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
    name = parameters.network  # type: ignore[attr-defined]
    network = build_segmenter(name, parameters.options, trunk, index.classes)
    if parameters.weights is None:
        load_trunk(initial_weights, network.trunk)
    else:
        start_from_segmenter(initial_weights, network, whole=optimisation.epochs == 0)
    log.info("%s: its weights start from %s", name, initialisation)
    curve: list[dict[str, float]] = []
    if optimisation.epochs > 0:
        network.train()
        if parameters.freeze_batch_norm:
            freeze_batch_norm(network.trunk)

        def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
            images, labels = batch
            return {"loss": segmentation_losses(network.all_logits(images), labels, parameters).sum()}

        curve = fit(
            network,
            LabelMapSamples(index, label_maps, parameters.augmentation),
            loss,
            network.parameter_groups(optimisation.head_factor),
            optimisation,
            partial,
            choose_device(device),
            workers,
            "training the segmenter",
            parts=optimisation.accumulate,
            precision=optimisation.precision,
        )
    if is_main_process():
        write_curve(curve, training_csv)
        save_segmenter(weights, network)
        partial.finish(weights, training_csv)


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
