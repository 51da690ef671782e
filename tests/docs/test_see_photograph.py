"""The example that shows what networks make of a photograph, on one that scikit-image ships."""

import importlib.util

import numpy as np
import skimage.data
import torch
from PIL import Image

from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter

from .markdown import REPOSITORY

TRUNK = Trunk(network="resnet_small", output_stride=8)


def test_photograph_map_and_labels_stand_side_by_side(tmp_path):
    torch.manual_seed(0)
    for name in ("classifier", "segmenter"):
        (tmp_path / name).mkdir()
    save_classifier(tmp_path / "classifier/weights.safetensors", ClassMapClassifier(TRUNK, ("cat", "dog")))
    options = {"atrous_rates": [1, 2], "low_level_skip": True}
    network = build_segmenter("deeplab", options, TRUNK, ("cat", "dog"))
    save_segmenter(tmp_path / "segmenter/weights.safetensors", network)
    photograph = skimage.data.chelsea()  # a cat, CC0
    Image.fromarray(photograph).save(tmp_path / "cat.png")

    path = REPOSITORY / "docs/examples/see_photograph.py"
    specification = importlib.util.spec_from_file_location("see_photograph", path)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    reported = example.see_photograph(tmp_path, tmp_path / "cat.png", tmp_path / "seen.png", 96)

    seen = np.asarray(Image.open(tmp_path / "seen.png"))
    assert seen.shape == (64, 3 * 96, 3)
    small = Image.fromarray(photograph)
    small.thumbnail((96, 96), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(seen[:, :96], np.asarray(small))
    assert reported.startswith("classifier: ") and "%" in reported.partition("DeepLab: ")[2]
