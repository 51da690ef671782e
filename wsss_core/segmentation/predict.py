"""Stage `predictions`: label maps of images by a trained segmenter."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.atomic import atomic_path
from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.datasets.label_values import label_type
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.probability_store import write_probabilities
from wsss_core.resume import PartialWork


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
    probabilities_h5: Path | None = None,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
) -> None:
    """Write the label map of every image of a shard, beside the manifest that lists them.

    Args:
        parameters: scales, flip, CRF.
        index: the shard's images.
        weights: the segmenter's weights.
        manifest_csv: the manifest to make; see ``write_label_maps``.
        probabilities_h5: the file to make of the probabilities before the CRF; None to keep none.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: the weights are not a segmenter's, or are one's for other classes than the data set's.
    """
    network = load_segmenter(weights, choose_device(device))
    if network.classes[1:] != tuple(index.classes):
        raise UserError(
            f"{weights}: the segmenter knows the classes {', '.join(network.classes[1:])}; "
            f"the data set has {', '.join(index.classes)}"
        )
    images = index.image_paths
    kept = None
    if probabilities_h5 is not None:
        kept = PartialWork(manifest_csv.parent.parent, f"probabilities-{probabilities_h5.stem}", inputs)

    def probabilities_of(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return class_probabilities(network, image, parameters).cpu().numpy()

    def make(position: int) -> np.ndarray:
        image = read_image(images[position])
        scores = probabilities_of(image)
        if kept is not None:
            with atomic_path(kept.path(f"{position}.npy")) as temporary:
                np.save(temporary, scores.astype(np.float16))
        if parameters.crf is not None:
            from wsss_core.refinement.crf import dense_crf

            scores = dense_crf(image, scores, parameters.crf)
        return scores.argmax(axis=0).astype(label_type(len(index.classes)))

    write_label_maps(index, make, manifest_csv, inputs, "predicting")
    if kept is None or probabilities_h5 is None or kept.restore(probabilities_h5):
        return

    def all_kept() -> Iterator[tuple[str, np.ndarray]]:
        for position, image_id in enumerate(index.image_ids):
            file = kept.path(f"{position}.npy")
            # Label maps of an earlier run were put back, and its probabilities are gone.
            yield image_id, np.load(file) if file.exists() else probabilities_of(read_image(images[position]))

    write_probabilities(probabilities_h5, network.classes, all_kept())
    kept.finish(probabilities_h5)
