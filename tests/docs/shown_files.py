"""The files that programs of the manual read, small and with random content."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wsss_core.config.networks import Trunk
from wsss_core.files.cam_store import ImageCams, write_cam_store
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter


def make_shown_files(folder: Path) -> None:
    """A shard of class maps, a classifier, a segmenter and a new picture, where the manual has them."""
    cam = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    image = ImageCams("2007_000032", np.array([0, 2], np.int16), cam, None, 12, 16)
    shards = folder / "results/voc12/experiments/advcam/cams/shards"
    shards.mkdir(parents=True)
    for place in (folder, shards):
        write_cam_store(place / "000-of-008.h5", ("cat", "dog", "person"), {}, [image])
    segmenter = folder / "results/mine/experiments/advcam/segmenter"
    segmenter.mkdir(parents=True)
    torch.manual_seed(0)
    trunk = Trunk(network="resnet_small", output_stride=8)
    options = {"atrous_rates": [1, 2], "low_level_skip": True}
    save_segmenter(segmenter / "weights.safetensors", build_segmenter("deeplab", options, trunk, ("cat", "dog")))
    classifier = folder / "results/mine/experiments/advcam/classifier"
    classifier.mkdir(parents=True)
    save_classifier(classifier / "weights.safetensors", ClassMapClassifier(trunk, ("cat", "dog")))
    Image.fromarray(np.full((40, 56, 3), 90, np.uint8)).save(folder / "new.jpg")
