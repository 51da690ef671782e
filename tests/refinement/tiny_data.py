"""Three tiny images, their class maps and a trunk's weights: inputs of the refinement stages."""

from pathlib import Path

import numpy as np
import pandas
from PIL import Image

from wsss_core.config.crf import Crf
from wsss_core.config.networks import Backbone
from wsss_core.config.trunk_description import trunk_of
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.cam_store import ImageCams

CLASSES = ("bird", "cat", "dog")
BACKBONE = Backbone(network="resnet_small", output_stride=8, weights="scratch")
TRUNK = trunk_of(BACKBONE)
SMALL_CRF = Crf(iterations=5, long_side=None, bilateral_sxy=12, bilateral_srgb=20, bilateral_compat=5)
SIZES = {"one": (40, 48), "two": (32, 32), "none": (33, 41)}
LABELS = {"one": ["cat"], "two": ["bird", "dog"], "none": []}


class FakeCams:
    """Class maps of the images below, in place of a ``CamStoreReader``."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def check_classes(self, classes) -> None:
        """All classes will do."""

    def read(self, image_id: str) -> ImageCams:
        self.reads.append(image_id)
        height, width = SIZES[image_id]
        classes = np.array([CLASSES.index(name) for name in LABELS[image_id]], dtype=np.int64)
        cam = np.full((len(classes), -(-height // 4), -(-width // 4)), 0.05, np.float32)
        for k in range(len(classes)):
            row, column = (side // 4 for side in object_corner(k))
            cam[k, row : row + 4, column : column + 4] = 0.6
            cam[k, row + 1, column + 1] = 1  # the most discriminative part
        return ImageCams(image_id, classes, cam, None, height, width)


def object_corner(k: int) -> tuple[int, int]:
    """Row and column where the k-th object, 14 pixels each way, begins."""
    return (4, 4) if k == 0 else (16, 16)


def true_labels(image_id: str) -> np.ndarray:
    """0, or class index + 1, of every pixel."""
    labels = np.zeros(SIZES[image_id], np.uint8)
    for k, name in enumerate(LABELS[image_id]):
        top, left = object_corner(k)
        labels[top : top + 14, left : left + 14] = CLASSES.index(name) + 1
    return labels


def write_images(folder: Path) -> DatasetIndex:
    """Write the images, of one colour per class, and return their index."""
    folder.mkdir(parents=True, exist_ok=True)
    colours = np.array([[40, 60, 50], [220, 40, 40], [40, 220, 60], [60, 60, 230]], np.uint8)
    index = index_of_images(folder)
    for image_id, path in zip(index.image_ids, index.image_paths, strict=True):
        noise = np.random.default_rng(0).integers(0, 8, (*SIZES[image_id], 3), np.uint8)
        Image.fromarray(colours[true_labels(image_id)] + noise).save(path)
    return index


def index_of_images(folder: Path) -> DatasetIndex:
    """The index of the images in a folder."""
    rows = [
        (image_id, "train", str(folder / f"{image_id}.png"), height, width, ";".join(LABELS[image_id]))
        for image_id, (height, width) in SIZES.items()
    ]
    columns = ["image_id", "split", "image", "height", "width", "labels"]
    return DatasetIndex(CLASSES, pandas.DataFrame(rows, columns=columns))


def write_trunk(path: Path) -> Path:
    """Write random weights of the small trunk."""
    # Here, as the processes that need the class maps alone do without torch.
    import torch
    from torch import nn

    from wsss_core.networks.trunks import build_trunk
    from wsss_core.networks.weights import save_weights

    torch.manual_seed(0)
    save_weights(path, nn.ModuleDict({"trunk": build_trunk(TRUNK)}), {"kind": "backbone"})
    return path
