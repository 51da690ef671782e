"""What an experiment's networks make of one photograph: the classifier's class maps, and DeepLab's labels.

``python docs/examples/see_photograph.py results/mine/experiments/cam photo.jpg seen.png`` draws photograph, maps and
labels side by side. The photograph is shrunk to ``--long-side`` pixels (224), as ``dataset.long_side`` does it.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from wsss_core import draw_cams, load_classifier, load_segmenter, segment
from wsss_core.datasets.images import read_image
from wsss_core.datasets.overlay import labels_over
from wsss_core.files.heat import heat_colours


def see_photograph(experiment: Path, photograph: Path, picture: Path, long_side: int = 224) -> str:
    """Draw a photograph, the largest value of the maps of the classes that are found, and its labels, side by side.

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

    cams = draw_cams(load_classifier(experiment / "classifier" / "weights.safetensors"), pixels)
    heat = 0.4 * pixels + 0.6 * heat_colours(cams.full_size().max(axis=0))

    network = load_segmenter(experiment / "segmenter" / "weights.safetensors")
    labels = segment(network, pixels).labels
    parts = [pixels, heat.astype(np.uint8), (255 * labels_over(pixels, labels)).astype(np.uint8)]
    Image.fromarray(np.concatenate(parts, axis=1)).save(picture)

    found = ", ".join(cams.class_names[index] for index in cams.classes)
    shares = ", ".join(f"{network.classes[value]} {(labels == value).mean():.0%}" for value in np.unique(labels))
    return f"classifier: {found}; DeepLab: {shares}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--long-side", type=int, default=224)
    print(see_photograph(**vars(parser.parse_args())))
