"""What an experiment's networks make of one photograph: the classifier's strongest class map, and DeepLab's labels.

``python docs/examples/see_photograph.py results/mine/experiments/cam photo.jpg seen.png`` draws photograph, map and
labels side by side. The photograph is shrunk to ``--long-side`` pixels (224), as ``dataset.long_side`` does it.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wsss_core.cams.methods import find_cam_method
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise
from wsss_core.files.heat import heat_colours
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.report.thumbnails import labels_over
from wsss_core.segmentation.class_probabilities import class_probabilities


def see_photograph(experiment: Path, photograph: Path, picture: Path, long_side: int = 224) -> str:
    """Draw a photograph, its strongest class map and its labels side by side.

    Args:
        experiment: the folder of an experiment's links, with ``classifier`` and ``segmenter``.
        photograph: an image file.
        picture: the image file to make.
        long_side: pixels that the photograph is shrunk to.

    Returns:
        What was seen, in words.
    """
    image = Image.fromarray(read_image(photograph))
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)

    classifier = load_classifier(experiment / "classifier" / "weights.safetensors")
    with torch.inference_mode():
        sure = torch.sigmoid(classifier(normalise(pixels)[None]))[0]
    best = int(sure.argmax())
    settings = MultiscaleCams(classifier="", scales=(1.0, 1.5))
    _, maps = find_cam_method("multiscale")(classifier, pixels, [best], settings).normalised()
    assert maps is not None
    heat = 0.4 * pixels + 0.6 * heat_colours(maps[0].numpy())

    network = load_segmenter(experiment / "segmenter" / "weights.safetensors")
    labels = class_probabilities(network, pixels, Prediction(scales=(1.0,))).argmax(dim=0).numpy().astype(np.uint8)
    parts = [pixels, heat.astype(np.uint8), (255 * labels_over(pixels, labels)).astype(np.uint8)]
    Image.fromarray(np.concatenate(parts, axis=1)).save(picture)

    shares = ", ".join(f"{network.classes[value]} {(labels == value).mean():.0%}" for value in np.unique(labels))
    return f"classifier: {classifier.classes[best]} ({sure[best]:.0%}); DeepLab: {shares}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--long-side", type=int, default=224)
    print(see_photograph(**vars(parser.parse_args())))
