"""IRN (Ahn, Cho & Kwak, CVPR 2019): class boundaries, which the random walk of class maps does not cross."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import Irn
from wsss_core.config.spreading import IrnWalk, Walk
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise, normalised
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.jobs.devices import moved
from wsss_core.jobs.progress import Progress
from wsss_core.networks.irn import STRIDE, IrnNetwork, build_irn, load_irn, save_irn
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.refinement.affinity_method import AffinityMethod, LabelReduction
from wsss_core.refinement.boundary_paths import boundary_paths
from wsss_core.refinement.boundary_walk import walk_within_boundaries
from wsss_core.refinement.irn_losses import irn_losses
from wsss_core.refinement.pair_labels import pair_labels
from wsss_core.refinement.reduced_labels import middle_labels
from wsss_core.training.frozen import frozen_copy
from wsss_core.training.loading import loader_of

IMAGES_AT_ONCE = 8
"""Images in a batch for computing the mean displacement."""


class IrnMethod(AffinityMethod, name="irn"):
    """As in irn ``step/train_irn.py`` and ``step/make_sem_seg_labels.py``; the trunk is not trained."""

    network: IrnNetwork

    def __init__(self, network: IrnNetwork) -> None:
        """Take the network."""
        super().__init__(network, STRIDE)
        self.paths = boundary_paths(network.radius)

    @classmethod
    def build(cls, parameters: Irn, trunk: Trunk) -> "IrnMethod":
        """A network with random branches, for images of the training crops' size."""
        return cls(build_irn(trunk, parameters.augmentation.crop, parameters.radius, parameters.displacement))

    def parameter_groups(self, parameters: Irn) -> list[ParameterGroup]:
        """The boundary branch, and that of displacements, if trained, with a rate larger by ``displacement_factor``."""
        factor = parameters.optimisation.head_factor
        groups = [ParameterGroup(self.network.boundary_parameters(), factor)]
        if self.network.displacement:
            own = self.network.displacement_parameters()
            groups.append(ParameterGroup(own, factor * parameters.displacement_factor))
        return groups

    def label_reduction(self) -> LabelReduction:
        """A cell has the label of its middle pixel."""
        return partial(middle_labels, stride=self.stride)

    def begin(self, device: torch.device, precision: str) -> None:
        """Replace the trunk, which is not trained, by a copy that computes the same in fewer operations."""
        self.network.use_for_trunk(frozen_copy(self.network.trunk, device, precision))

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses of a batch; see :func:`wsss_core.refinement.irn_losses.irn_losses`."""
        network = self.network
        logits, displacements = network(images) if network.displacement else (network.boundary_logits(images), None)
        pairs = pair_labels(labels, [path[0] for path in self.paths], network.radius)
        return irn_losses(logits, displacements, pairs, self.paths, network.radius)

    def finish(self, images: Sequence[Path], workers: int) -> None:
        """Compute the mean displacement of the training images, if displacements are trained.

        As in the authors' code, images are cut or padded with zeros to the size of the training crops, at the right and
        the bottom. Their code averages the means of full batches, and leaves out an incomplete last one; here all
        images have equal weight, which is the same if all batches are full.
        """
        network = self.network.eval()
        if not network.displacement or not images:
            return
        counter = Progress("mean displacement", len(images))
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        crops = _TopLeftCrops(images, network.crop_size)
        with torch.no_grad(), loader_of(crops, workers, self.device, batch_size=IMAGES_AT_ONCE) as loader:
            for batch in loader:
                _, displacements = network(moved(batch, self.device))
                total += displacements.mean(dim=(2, 3)).double().sum(dim=0)
                counter.advance(len(batch))
            network.displacement_mean.copy_(total / len(images))
        counter.close()

    def save(self, path: Path | str, trunk: Trunk) -> None:
        """Write weights, crop size, radius and whether displacements were trained."""
        save_irn(path, self.network, trunk, self.name)

    @classmethod
    def load(cls, path: Path | str, device: torch.device | str = "cpu") -> "IrnMethod":
        """Read a file written by :meth:`save`, for use."""
        return cls(load_irn(path, device, cls.name))

    def maps_to_walk(self, cams: ImageCams) -> np.ndarray:
        """``cam``, float32 (K, ceil(H / 4), ceil(W / 4))."""
        return cams.cam

    def walk(self, image: np.ndarray, maps: np.ndarray, walk: Walk) -> np.ndarray:
        """Weaken maps on boundaries, and let them walk between boundaries.

        Unlike in the authors' code, an image larger than the training crops is not cut.
        """
        if not isinstance(walk, IrnWalk):
            raise UserError("the affinity network is IRN's, but the settings of the walk are another method's")
        with torch.inference_mode():
            pixels = normalised(moved(torch.from_numpy(np.ascontiguousarray(image))[None], self.device))[0]
            boundary = self.network.infer_boundary(pixels, cut=False)
        return walk_within_boundaries(maps, boundary, walk.radius, walk.beta, walk.log2_steps, self.device)


class _TopLeftCrops(Dataset[Tensor]):
    """Normalised images, cut or padded with zeros to one size, at the right and the bottom."""

    def __init__(self, images: Sequence[Path], size: int) -> None:
        self.images, self.size = images, size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Tensor:
        image = normalise(read_image(self.images[position])[: self.size, : self.size])
        return functional.pad(image, (0, self.size - image.shape[2], 0, self.size - image.shape[1]))
