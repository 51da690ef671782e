"""Converts weights of other programs into files of this workflow.

    python -m wsss_core import-weights --format irn-cam res50_cam.pth weights/irn-cam.safetensors

docs/pretrained.md says which file each format is of.
"""

import argparse

from wsss_core.importing.authors_formats import FORMATS
from wsss_core.importing.pretrained import import_weights, read_classes

ASSUMED = (
    "assumed to be OpenAI's weights, with quick GELU activations: the file does not say. LAION's have the plain "
    "GELU and do not fit: their maps would be wrong"
)
"""What cannot be seen in a file of CLIP's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--format", required=True, choices=FORMATS, help="the format of IN")
    parser.add_argument("--classes", help="class names separated by commas, or a text file with one per line")
    parser.add_argument("--trained-on", help="the data that the weights were trained on, such as 'ImageNet, COCO'")
    parser.add_argument("source", metavar="IN", help="the file to read")
    parser.add_argument("target", metavar="OUT", help="the .safetensors file to write")


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    classes = None if options.classes is None else read_classes(options.classes)
    count = import_weights(options.format, options.source, options.target, classes, options.trained_on)
    print(f"{options.target}: {count} weights, {options.format}")
    if options.format == "clip":
        print(ASSUMED)
    return 0
