"""Labels new images with a trained segmenter.

    python -m wsss_core segment --experiment advcam new/photographs more/IMG_0001.jpg --out labelled

Scales, mirror image and CRF are those of the experiment's predictions; with --weights, without a configuration, they
are the defaults for the kind of network. The folder --out then has

    labels/<name>.png      label maps with a palette, of the image's own size (upright, according to EXIF)
    overlays/<name>.jpg    the labels in colours over the image
    classes.csv            the value, name and colour of each class
    segmented.csv          a row per image: its size, the size at which the network saw it, the classes found
    settings.json          network and settings

After a kill, the same command continues. Images that cannot be read are reported at the end, after all others are done,
and the exit status is then 1. docs/using_it.md says more.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wsss_core.commands.trained import add_segmenter, segmenter_of
from wsss_core.config.segmentation import Prediction
from wsss_core.config.wording import finding_in_words
from wsss_core.errors import UserError
from wsss_core.files.writable import check_folder_can_be_written
from wsss_core.segmentation.new_images import NewImages, find_new_images
from wsss_core.segmentation.segmented_folder import SUFFIXES

SOME_FAILED = 1
"""Exit status if there were images that could not be done."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="IMAGE_OR_FOLDER", help="image files, or folders with all subfolders"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder for the results")
    add_segmenter(parser)
    parser.add_argument(
        "--scales", nargs="+", type=float, metavar="S", help="multiples of the size that the network sees images at"
    )
    yes_or_no = argparse.BooleanOptionalAction
    parser.add_argument("--flip", action=yes_or_no, help="also run the mirror image")
    parser.add_argument("--crf", action=yes_or_no, help="refine the labels with a dense CRF")
    parser.add_argument("--overlays", action=yes_or_no, default=True, help="draw the labels over the images (default)")
    parser.add_argument(
        "--probabilities", action="store_true", help="keep class probabilities before the CRF (probabilities/<name>.h5)"
    )
    parser.add_argument(
        "--long-side",
        type=int,
        metavar="PIXELS",
        help="shrink larger images to this before the network sees them; by default to dataset.long_side, or else to "
        "what fits into 2 GiB of memory",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="by default the configuration's")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processes for the CRF (default 1)")


def run(options: argparse.Namespace) -> int:
    """Segment the images."""
    if options.threads < 1 or (options.long_side is not None and options.long_side < 1):
        raise UserError("--threads and --long-side: must be at least 1")
    check_folder_can_be_written(options.out)
    images = find_new_images(options.images, [options.out / kind for kind in SUFFIXES])
    segmenter = segmenter_of(options)
    long_side = segmenter.long_side if options.long_side is None else options.long_side
    from wsss_core.segmentation.segment_images import Wanted, segment_images  # imports torch

    outcome = segment_images(
        segmenter.weights,
        images.files,
        options.out,
        Wanted(prediction_of(segmenter.prediction, options), long_side, options.overlays),
        options.device or segmenter.device,
        options.threads,
    )
    earlier = f", and {outcome.earlier} were done before" if outcome.earlier else ""
    print(f"{outcome.made} images segmented{earlier}: {options.out}")
    if outcome.shrunken and long_side is None:
        print(f"{outcome.shrunken} were shrunk before the network saw them, to save memory; see --long-side")
    return report_faults(images, outcome.faults)


def prediction_of(prediction: Prediction, options: argparse.Namespace) -> Prediction:
    """The settings of a prediction, as changed by the options.

    Raises:
        UserError: a value is out of range.
    """
    changes: dict[str, Any] = {"keep_probabilities": options.probabilities}
    if options.scales is not None:
        changes["scales"] = options.scales
    if options.flip is not None:
        changes["flip"] = options.flip
    if options.crf is False:
        changes["crf"] = None
    elif options.crf and prediction.crf is None:
        changes["crf"] = Prediction().crf
    try:
        return Prediction.model_validate({**prediction.model_dump(), **changes})
    except ValidationError as error:  # only the scales come unchecked from the command line
        raise UserError(f"--scales: {finding_in_words(error.errors()[0])}") from None


def report_faults(images: NewImages, faults: list[str]) -> int:
    """Print what could not be done, and return the exit status."""
    faults = [*images.faults, *faults]
    if not faults:
        return 0
    print(f"{len(faults)} images could not be segmented:", *faults, sep="\n  ", file=sys.stderr)
    return SOME_FAILED
