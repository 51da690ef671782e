"""Writes a trained segmenter as an ONNX file, which other programs run without this project.

    python -m wsss_core export --experiment advcam model.onnx

The file takes images (uint8 RGB, any number and size) and gives class probabilities and labels; its metadata has the
names and colours of the classes. Before it is written, its results in onnxruntime are compared with the network's.
docs/using_it.md has a program that uses it. Needs the packages onnx and onnxruntime: pip install -e '.[onnx]'.
"""

import argparse
from pathlib import Path

from wsss_core.commands.trained import add_segmenter, segmenter_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_segmenter(parser)
    parser.add_argument("target", type=Path, metavar="OUT.onnx", help="the file to write")


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    segmenter = segmenter_of(options)
    from wsss_core.segmentation.export_onnx import export_onnx  # imports torch

    difference = export_onnx(segmenter.weights, options.target, segmenter.long_side)
    print(f"{options.target}: probabilities differ from the network's by at most {difference:.0e}")
    return 0
