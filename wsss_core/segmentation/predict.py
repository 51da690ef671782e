"""Stage `predictions`: label maps of images by a trained segmenter."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.devices import choose_device
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import load_segmenter


def class_probabilities(network: SegmentationNetwork, image: np.ndarray, parameters: Prediction) -> Tensor:
    """Probabilities of every class at every pixel, averaged over scales and mirror images.

    Args:
        network: a segmenter, on its device.
        image: (H, W, 3) uint8 RGB.
        parameters: scales and flip.

    Returns:
        (K + 1, H, W) float32 on the network's device; sums to 1 over the classes.
    """
    size = image.shape[:2]
    device = next(network.parameters()).device
    total = torch.zeros(len(network.classes), *size, device=device)
    for scale in parameters.scales:
        batch = normalise(rescale(image, scale))[None]  # (1, 3, h, w)
        if parameters.flip:
            batch = torch.cat([batch, batch.flip(3)])
        logits = functional.interpolate(network(batch.to(device)), size=size, mode="bilinear", align_corners=False)
        probabilities = logits.softmax(dim=1)
        total += probabilities[0]
        if parameters.flip:
            total += probabilities[1].flip(2)
    return total / (len(parameters.scales) * (2 if parameters.flip else 1))


def predict(
    parameters: Prediction,
    index: DatasetIndex,
    weights: Path,
    manifest_csv: Path,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
) -> None:
    """Write the label map of every image of a shard, beside the manifest that lists them.

    Args:
        parameters: scales, flip, CRF.
        index: the shard's images.
        weights: the segmenter's weights.
        manifest_csv: the manifest to make; see ``write_label_maps``.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: the weights are not a segmenter's.
    """
    network = load_segmenter(weights, choose_device(device))
    images = index.image_paths

    def make(position: int) -> np.ndarray:
        image = read_image(images[position])
        with torch.inference_mode():
            scores = class_probabilities(network, image, parameters).cpu().numpy()
        if parameters.crf is not None:
            from wsss_core.refinement.crf import dense_crf

            scores = dense_crf(image, scores, parameters.crf)
        return scores.argmax(axis=0).astype(np.uint8)

    write_label_maps(index, make, manifest_csv, inputs, "predicting")
