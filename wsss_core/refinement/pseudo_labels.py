"""Stage `pseudo_labels`: class maps, spread along learned affinities, become one label per pixel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from wsss_core.cam_store import CAM_STRIDE, CamStoreReader
from wsss_core.config.refinement import PseudoLabels, Walk
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.datasets.transforms import normalise
from wsss_core.devices import choose_device
from wsss_core.networks.affinitynet import AffinityNetwork, load_affinitynet
from wsss_core.refinement.affinity_pairs import neighbour_offsets, pair_affinities
from wsss_core.refinement.confident_labels import check_size, label_values
from wsss_core.refinement.crf import refine
from wsss_core.refinement.random_walk import random_walk


def make_pseudo_labels(
    parameters: PseudoLabels,
    walk: Walk,
    index_shard: DatasetIndex,
    cams: CamStoreReader,
    affinity_weights: Path,
    manifest_csv: Path,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
) -> None:
    """Write a label map for every image; a killed call goes on where it was.

    Only the classes of an image's own labels can appear in its map. An image without classes is
    all background.

    Args:
        parameters: background score, and the CRF after the walk if there is one.
        walk: how far and how strictly along affinities the maps are spread.
        index_shard: the images.
        cams: class maps of at least these images.
        affinity_weights: the weights of an AffinityNet.
        manifest_csv: the manifest to make; the maps lie beside it (see ``write_label_maps``).
        inputs: the files this is made from.
        device: ``auto``, ``cpu`` or ``cuda``; the walk and the CRF run on the CPU.

    Raises:
        UserError: the weights are no AffinityNet's, an image cannot be read or does not fit its
            maps, or a CRF is wanted and pydensecrf is missing.
    """
    place = choose_device(device)
    network = load_affinitynet(affinity_weights, place)
    image_ids, paths = index_shard.image_ids, index_shard.image_paths

    def make(position: int) -> np.ndarray:
        image, maps = read_image(paths[position]), cams.read(image_ids[position])
        check_size(paths[position], image, maps.height, maps.width)
        if len(maps.classes) == 0:
            return np.zeros(image.shape[:2], dtype=np.uint8)
        walked = spread_maps(image, maps.cam, network, walk, place)
        winners = refine(image, walked, parameters.background, parameters.crf)
        return label_values(maps.classes)[winners]

    write_label_maps(index_shard, make, manifest_csv, inputs, "making pseudo labels")


def spread_maps(
    image: np.ndarray, cam: np.ndarray, network: AffinityNetwork, walk: Walk, device: torch.device
) -> np.ndarray:
    """Spread the class maps of one image along its affinities.

    The maps are divided by the largest value of all classes after the walk, as in IRN's code
    (``step/make_sem_seg_labels.py``), so that a background score means the same for every image
    and the relation between classes stays. AffinityNet's code instead walks a background map
    ``(1 - max) ** alpha`` along with the classes and divides nothing.

    Args:
        image: uint8 (H, W, 3), RGB.
        cam: (K, ceil(H / 4), ceil(W / 4)), values in [0, 1], K at least 1.
        network: the affinities' network, on ``device``.
        walk: power of the maps, power of the affinities, number of steps.
        device: where the network computes.

    Returns:
        float32 (K, H, W), values in [0, 1]; the largest is about 1 (interpolation lowers peaks),
        or everything is 0 if ``cam`` is.
    """
    offsets = neighbour_offsets(network.radius)
    with torch.inference_mode():
        features = network(normalise(image)[None].to(device))[0]
        affinities = pair_affinities(features, offsets).cpu().numpy()
    start = torch.from_numpy(cam.astype(np.float64))
    if network.stride > CAM_STRIDE:  # averaged, as in AffinityNet's code
        start = functional.avg_pool2d(start, network.stride // CAM_STRIDE, ceil_mode=True)
    walked = random_walk(start.numpy() ** walk.cam_power, affinities, offsets, walk.beta, walk.log2_steps)
    largest = walked.max()
    if largest > 0:
        walked /= largest
    fine = functional.interpolate(
        torch.from_numpy(walked)[None], scale_factor=network.stride, mode="bilinear", align_corners=False
    )
    height, width = image.shape[:2]  # the last cells may reach beyond the image
    return fine[0, :, :height, :width].float().clamp_(0, 1).numpy()
