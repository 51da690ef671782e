"""Stage `affinity`: trains a network to predict which pixels belong together, from pairs with confident labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import LearnedAffinity
from wsss_core.config.training import Augmentation
from wsss_core.config.trunk_description import describe_trunk, read_trunk
from wsss_core.datasets.augmentation import TrainingTransform
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import read_label_map
from wsss_core.datasets.label_values import numbered_within
from wsss_core.errors import UserError
from wsss_core.jobs.devices import loading_processes
from wsss_core.jobs.run import Run
from wsss_core.networks.weights import load_state, load_trunk, read_description
from wsss_core.refinement.affinity_method import AffinityMethod, LabelReduction, learned_method, load_affinity
from wsss_core.training.make_weights import Prepared, make_weights
from wsss_core.training.task import Task


class ConfidentlyLabelledImages:
    """Training images with their confident label maps, reduced to the affinity grid."""

    def __init__(
        self,
        index: DatasetIndex,
        confident_labels: Mapping[str, Path],
        augmentation: Augmentation,
        label_reduction: LabelReduction,
    ) -> None:
        """Take the images of ``index``.

        Raises:
            UserError: an image has no label map.
        """
        without = [name for name in index.image_ids if name not in confident_labels]
        if without:
            raise UserError(
                f"{len(without)} of {len(index)} training images have no confident label map, "
                f"such as {without[0]!r}; make the affinity labels again"
            )
        self.images, self.classes = index.image_paths, len(index.classes)
        self.label_maps = [confident_labels[name] for name in index.image_ids]
        self.transform = TrainingTransform(augmentation)
        self.label_reduction = label_reduction

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        # Only whether two cells have the same label matters, so the image's classes can be renumbered.
        image = read_image(self.images[position])
        labels = numbered_within(read_label_map(self.label_maps[position], self.classes))
        if image.shape[:2] != labels.shape:
            raise UserError(
                f"{self.label_maps[position]}: the label map's size {labels.shape} is not that of "
                f"its image, {image.shape[:2]}; make the affinity labels again"
            )
        image_tensor, label_tensor = self.transform(image, labels)
        assert label_tensor is not None
        return image_tensor, self.label_reduction(label_tensor)


def train_affinity(
    parameters: LearnedAffinity,
    trunk: Trunk,
    index: DatasetIndex,
    confident_labels: Mapping[str, Path],
    initial_weights: Path,
    weights: Path,
    training_csv: Path,
    run: Run = Run(),
) -> None:
    """Train an affinity network; a killed run continues after its last finished epoch.

    Args:
        parameters: the method and its settings.
        trunk: the trunk's settings.
        index: the training images.
        confident_labels: the files of confident label maps by image id.
        initial_weights: the file in ``parameters.weights``, with a whole network (used without training if
            ``epochs: 0``); without that setting, a file with the trunk's weights.
        weights: the file of weights to write.
        training_csv: the training curve to write: epoch, losses, learning rate.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the method does not support such a trunk, the weights do not fit or are for another network, a label
            map is missing or has another size, or the loss is no longer finite.
    """
    optimisation = parameters.optimisation

    def prepare(device: torch.device) -> Prepared:
        method = learned_method(parameters.method).build(parameters, trunk)  # type: ignore[attr-defined]
        if parameters.weights is None:
            load_trunk(initial_weights, method.network.get_submodule("trunk"))
        else:
            start_from_affinity(initial_weights, method, trunk)
        if optimisation.epochs == 0:
            return Prepared(None, lambda path: method.save(path, trunk))
        method.network.train()
        method.begin(device, optimisation.precision)

        def losses(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
            images, labels = batch
            return method.losses(images, labels)

        def save(path: Path) -> None:
            method.finish(index.image_paths, loading_processes(run, device))
            method.save(path, trunk)

        reduction = method.label_reduction()
        samples = ConfidentlyLabelledImages(index, confident_labels, parameters.augmentation, reduction)
        description = f"training {parameters.method}"  # type: ignore[attr-defined]
        return Prepared(Task(method.network, samples, losses, method.parameter_groups(parameters), description), save)

    make_weights(weights, training_csv, optimisation, run, prepare)


def start_from_affinity(path: Path, method: AffinityMethod, trunk: Trunk) -> None:
    """Load the weights of a whole affinity network into that of ``method``, in place.

    Args:
        path: a file of weights from the stage `affinity`, or imported from the authors.
        method: the method with a network built from the settings.
        trunk: the trunk's settings.

    Raises:
        UserError: the file is damaged, or its network differs from the settings; the message says how.
    """
    given = load_affinity(path)
    found = {"method": given.name, **_settings_of(given, read_trunk(read_description(path)["trunk"]))}
    wanted = {"method": method.name, **_settings_of(method, trunk)}
    differences = [f"{key} is {found.get(key)}, not {wanted[key]}" for key in wanted if found.get(key) != wanted[key]]
    if differences:
        raise UserError(f"{path}: holds another affinity network than that of the settings: {'; '.join(differences)}")
    load_state(method.network, given.network.state_dict(), path)


def _settings_of(method: AffinityMethod, trunk: Trunk) -> dict[str, Any]:
    """The settings of a network that its weights do not contain, without dropout, which only matters in training."""
    names = ("stride", "radius", "border_pairs", "crop_size", "displacement")
    own = {name: getattr(method.network, name) for name in names if hasattr(method.network, name)}
    return {**own, **{f"trunk.{key}": value for key, value in describe_trunk(trunk).items() if key != "dropout"}}
