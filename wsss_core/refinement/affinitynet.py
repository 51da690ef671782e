"""AffinityNet (Ahn & Kwak, CVPR 2018): distances of features say which cells belong together."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import AffinityNet
from wsss_core.config.spreading import IrnWalk, Walk
from wsss_core.datasets.transforms import normalised
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.jobs.devices import moved
from wsss_core.networks.affinitynet import AffinityNetwork, load_affinitynet, save_affinitynet
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import trainable
from wsss_core.refinement.affinity_method import AffinityMethod, LabelReduction
from wsss_core.refinement.affinity_pairs import (
    Offset,
    inner_window,
    neighbour_offsets,
    pair_affinities,
    radius_in_small_grid,
)
from wsss_core.refinement.pair_labels import PairLabels, pair_labels, pair_losses
from wsss_core.refinement.random_walk import random_walk
from wsss_core.refinement.reduced_labels import majority_labels


class AffinityNetMethod(AffinityMethod, name="affinitynet"):
    """As in psa ``train_aff.py`` and ``infer_aff.py``."""

    network: AffinityNetwork

    def __init__(self, network: AffinityNetwork) -> None:
        """Take the network."""
        super().__init__(network, network.stride)
        self.offsets = neighbour_offsets(network.radius)

    @classmethod
    def build(cls, parameters: AffinityNet, trunk: Trunk) -> "AffinityNetMethod":
        """A network with random weights; the settings say whether first layers and batch normalisation are frozen."""
        network = AffinityNetwork(
            build_trunk(trunk), parameters.stride, parameters.radius, border_pairs=parameters.border_pairs
        )
        if parameters.freeze_batch_norm:
            freeze_batch_norm(network)
        if parameters.frozen_stem:
            network.trunk.freeze_stem()
        return cls(network)

    def parameter_groups(self, parameters: AffinityNet) -> list[ParameterGroup]:
        """The trunk, and the new layers with a rate larger by ``head_factor``."""
        return [
            ParameterGroup(trainable(self.network.trunk), 1),
            ParameterGroup(self.network.new_parameters(), parameters.optimisation.head_factor),
        ]

    def label_reduction(self) -> LabelReduction:
        """A cell has the label of more than half of its pixels."""
        return partial(majority_labels, stride=self.stride)

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses of a batch; see :func:`affinity_losses`."""
        network = self.network
        affinities = pair_affinities(network(images), self.offsets)
        if not network.border_pairs:
            affinities = affinities[(..., *inner_window(network.radius, *affinities.shape[2:]))]
        pairs = pair_labels(labels, self.offsets, network.radius, border_pairs=network.border_pairs)
        return affinity_losses(affinities, pairs)

    def save(self, path: Path | str, trunk: Trunk) -> None:
        """Write weights, stride, radius and ``border_pairs``."""
        save_affinitynet(path, self.network, trunk, self.name)

    @classmethod
    def load(cls, path: Path | str, device: torch.device | str = "cpu") -> "AffinityNetMethod":
        """Read a file written by :meth:`save`, for use."""
        return cls(load_affinitynet(path, device, cls.name))

    def maps_to_walk(self, cams: ImageCams) -> np.ndarray:
        """The maps at the image's size, kept or enlarged: float32 (K, H, W)."""
        return cams.full_size()

    def walk(self, image: np.ndarray, maps: np.ndarray, walk: Walk) -> np.ndarray:
        """Average maps over cells, and spread them.

        The normalised image and the maps are padded with zeros to whole cells, at the right and the bottom. The padding
        counts in the averages.
        """
        if isinstance(walk, IrnWalk):
            raise UserError("the affinity network is an AffinityNet, but the settings of the walk are IRN's")
        height, width = image.shape[:2]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        cells = functional.avg_pool2d(functional.pad(torch.from_numpy(maps), padding), self.stride)
        with torch.inference_mode():
            pixels = normalised(moved(torch.from_numpy(np.ascontiguousarray(image))[None], self.device))
            features = self.network(functional.pad(pixels, padding))[0]
            affinities, offsets = self._affinities_of_walk(features)
        return random_walk(cells.numpy(), affinities, offsets, walk.beta, walk.log2_steps, self.device)

    def _affinities_of_walk(self, features: Tensor) -> tuple[Tensor, list[Offset]]:
        """Affinities (P, h, w) of features (C, h, w), and the P offsets.

        Without ``border_pairs`` they are 0 if the first cell is not an inner one, and the radius is smaller on grids
        without inner cells.
        """
        if self.network.border_pairs:
            return pair_affinities(features, self.offsets), self.offsets
        radius = radius_in_small_grid(self.network.radius, *features.shape[1:])
        offsets = neighbour_offsets(radius)
        affinities = pair_affinities(features, offsets)
        window = (slice(None), *inner_window(radius, *features.shape[1:]))
        inner = torch.zeros_like(affinities)
        inner[window] = affinities[window]
        return inner, offsets


def affinity_losses(affinities: Tensor, pairs: PairLabels) -> dict[str, Tensor]:
    """AffinityNet's loss (Ahn & Kwak, equation 9; psa ``train_aff.py``).

    Args:
        affinities: (B, P, h, w), values in [0, 1].
        pairs: (B, P, h, w) each.

    Returns:
        Scalars: the mean cross-entropies ``background``, ``foreground`` and ``negative``, and ``loss``,
        background / 4 + foreground / 4 + negative / 2. A kind without pairs has 0.
    """
    losses = pair_losses(affinities, pairs)
    return {"loss": losses.background / 4 + losses.foreground / 4 + losses.negative / 2, **losses._asdict()}
