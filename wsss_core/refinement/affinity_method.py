"""Affinity methods, which spread class maps along affinities: their interface, and the registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from wsss_core.config.background import BackgroundScore
from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import LearnedAffinity
from wsss_core.config.registry import Registry
from wsss_core.config.sections import SECTIONS
from wsss_core.config.spreading import Spreading
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.weights import read_description
from wsss_core.refinement.crf import background_score

LabelReduction = Callable[[Tensor], Tensor]
"""Reduces a label map, int64 (H, W), to one label for each cell of the grid, int64 (ceil(H / stride), ...)."""


class SpreadingMethod(ABC):
    """Spreads class maps along the affinities of an image.

    A subclass registers itself: ``class IrnMethod(AffinityMethod, name="irn")`` in the module
    ``wsss_core/refinement/irn.py`` is found by its name for ``method`` in the configuration.

    Attributes:
        stride: pixels of the image for each cell of the grid, in both directions.
    """

    name: ClassVar[str]
    """The name under which it is registered."""
    stride: int

    def __init_subclass__(cls, name: str | None = None) -> None:
        """Register the method, if it has a name.

        Raises:
            UserError: another module of the package has this name.
        """
        super().__init_subclass__()
        if name is not None:
            AFFINITY_METHODS.add(name, cls, cls.__module__)
            cls.name = name

    def spread(self, image: np.ndarray, cams: ImageCams, walk: Spreading, walked_alpha: float | None) -> ImageCams:
        """Spread the class maps of an image along its affinities, and, if wanted, a map of the background.

        ``walk.cam_power`` is only applied to the class maps. The background is computed before that, because the power
        should weaken doubtful parts of objects, not make them background.

        Args:
            image: uint8 (H, W, 3), RGB.
            cams: its class maps.
            walk: the method's settings of the walk.
            walked_alpha: the background's map is ``(1 - largest class value) ** walked_alpha``; None for no background.

        Returns:
            ``cam`` (K, h, w) and ``background`` (h, w) float32, values in [0, 1], not normalised, on the method's grid,
            h = ceil(H / stride); no ``high_res``. Without classes, the background is 1 everywhere.

        Raises:
            UserError: ``walk`` belongs to another method.
        """
        classes = len(cams.classes)
        if classes:
            maps = self.maps_to_walk(cams)
            starts = maps.astype(np.float64) ** walk.cam_power
            if walked_alpha is not None:
                background = background_score(maps, BackgroundScore(alpha=walked_alpha))
                starts = np.concatenate([starts, background[None]])
            walked = self.walk(image, starts, walk).astype(np.float32)
        else:
            rows, columns = (-(-side // self.stride) for side in image.shape[:2])
            walked = np.ones((0 if walked_alpha is None else 1, rows, columns), np.float32)
        return ImageCams(
            cams.image_id,
            cams.classes,
            walked[:classes],
            None,
            cams.height,
            cams.width,
            None if walked_alpha is None else walked[classes],
            self.stride,
        )

    @abstractmethod
    def maps_to_walk(self, cams: ImageCams) -> np.ndarray:
        """The class maps at the size for computing powers and backgrounds: float (K, h', w')."""

    @abstractmethod
    def walk(self, image: np.ndarray, maps: np.ndarray, walk: Any) -> np.ndarray:
        """Spread maps along the affinities of an image.

        Args:
            image: uint8 (H, W, 3), RGB.
            maps: float64 (K, h', w'), K at least 1, of the size of :meth:`maps_to_walk`; values in [0, 1].
            walk: the method's settings of the walk.

        Returns:
            float64 (K, ceil(H / stride), ceil(W / stride)), values in [0, 1].

        Raises:
            UserError: ``walk`` belongs to another method.
        """


class AffinityMethod(SpreadingMethod):
    """A network that predicts which neighbouring cells of an image belong together: its training and its use.

    Files of weights contain the method's name.

    Attributes:
        network: the network; its submodule ``trunk`` starts from other weights.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        """Keep the network and the grid's stride."""
        self.network, self.stride = network, stride

    @property
    def device(self) -> torch.device:
        """The network's device."""
        return next(self.network.parameters()).device

    @classmethod
    @abstractmethod
    def build(cls, parameters: Any, trunk: Trunk) -> "AffinityMethod":
        """The method with a network for training: with random weights, and with frozen layers if any.

        Args:
            parameters: the method's settings; random weights come from torch's global generator.
            trunk: the trunk's settings.

        Raises:
            UserError: the method does not support this kind of trunk.
        """

    @abstractmethod
    def parameter_groups(self, parameters: Any) -> list[ParameterGroup]:
        """The parameters to optimise, with learning rate factors."""

    @abstractmethod
    def label_reduction(self) -> LabelReduction:
        """The reduction of a label map to the grid's cells; picklable, for processes that load images."""

    def begin(self, device: torch.device, precision: str) -> None:
        """Prepare the training after the weights were loaded. By default, this does nothing.

        Args:
            device: where the network will be trained.
            precision: of ``optimisation``.
        """
        del device, precision

    @abstractmethod
    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            images: (B, 3, H, W), normalised.
            labels: int64 (B, ceil(H / stride), ceil(W / stride)): 0 background, 1 and up the classes, 255 no label.

        Returns:
            Named scalars; ``loss`` is minimised, and all are in the training curve. A batch without any labelled pair
            has a ``loss`` of 0, with a gradient of 0.
        """

    def finish(self, images: Sequence[Path], workers: int) -> None:
        """Finish after the last epoch. By default, this does nothing; a killed run repeats it from its beginning.

        Args:
            images: files of the training images.
            workers: processes that load images.
        """
        del images, workers

    @abstractmethod
    def save(self, path: Path | str, trunk: Trunk) -> None:
        """Write the weights and everything else that :meth:`load` needs; the file's ``kind`` is the method's name."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path | str, device: torch.device | str = "cpu") -> "AffinityMethod":
        """Read a file written by :meth:`save`, for use.

        Raises:
            UserError: the file is damaged, belongs to another method, or its weights do not fit.
        """


class TrainingFreeMethod(SpreadingMethod):
    """Affinities without training: from the image itself, or from the features of an existing network."""

    @classmethod
    @abstractmethod
    def prepare(cls, walk: Any, network: Path | None, device: torch.device) -> "TrainingFreeMethod":
        """The method, ready for use.

        Args:
            walk: the method's settings for spreading maps.
            network: file of the network that the settings name as ``classifier`` or ``backbone``; None without either.
            device: where to compute.

        Raises:
            UserError: the method does not support such a network, or its file is damaged.
        """


AFFINITY_METHODS: Registry[type[SpreadingMethod]] = Registry("wsss_core.refinement", "affinities")
"""The methods by their name for ``method`` in the configuration."""


def learned_method(name: str) -> type[AffinityMethod]:
    """The method of this name, if its network is trained.

    Raises:
        KeyError: there is none.
    """
    found = AFFINITY_METHODS.find(name)
    if not issubclass(found, AffinityMethod):
        raise KeyError(name)
    return found


def spreading_method(name: str, walk: Any, network: Path | None, device: torch.device) -> SpreadingMethod:
    """The method of an artifact of the stage `walked_cams`, for use.

    Args:
        name: its name for ``method`` in the configuration.
        walk: its settings for spreading maps.
        network: the affinity network's file; for a method without training, the file of the network that it uses, if
            any.
        device: where to compute.

    Raises:
        UserError: the file is damaged or for another network.
    """
    found = AFFINITY_METHODS.find(name)
    if issubclass(found, TrainingFreeMethod):
        return found.prepare(walk, network, device)
    assert network is not None
    return load_affinity(network, device)


def load_affinity(path: Path | str, device: torch.device | str = "cpu") -> AffinityMethod:
    """Read a trained network of any method, for use.

    Args:
        path: a file of weights from the stage `affinity`, or imported from the authors.
        device: where the network goes.

    Raises:
        UserError: the file is damaged, or does not hold the weights of such a network.
    """
    kind = read_description(path).get("kind", "unknown network")
    kinds = SECTIONS["affinities"].kinds.items()
    methods = [name for name, settings in kinds if issubclass(settings, LearnedAffinity)]
    if kind not in methods:
        raise UserError(f"{path}: holds weights of a {kind}, not of an affinity network ({', '.join(methods)})")
    method = learned_method(kind).load(path, device)
    broken = [name for name, tensor in method.network.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UserError(f"{path}: {broken[0]} and {len(broken) - 1} other weights hold values that are not finite")
    return method
