"""Stage `cams`: the class maps of a shard of images, in HDF5."""

from pathlib import Path
from typing import Any

import torch

from wsss_core.cams.drawing import Drawing
from wsss_core.config.cams import Cams
from wsss_core.datasets.index import DatasetIndex
from wsss_core.inference.cam_blocks import BLOCK_IMAGES, write_cams_in_blocks
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.folded import folded_for_inference

FOLDED = ("advcam", "multiscale")
"""Methods that get a folded copy of the classifier; others may need its norms or its weights' gradients."""


def generate_cams(
    parameters: Cams,
    index: DatasetIndex,
    classifier_weights: Path,
    shard_file: Path,
    run: Run = Run(),
) -> None:
    """Write the class maps of a shard's images; a killed run continues after its last block.

    Args:
        parameters: the CAM method and its settings.
        index: the shard's images; maps are drawn for each image's labels.
        classifier_weights: file of the classifier.
        shard_file: the HDF5 file to write.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the weights are not a classifier's, or are for other classes than the data set's; or the GPU does not
            compute in bfloat16.
    """
    device = device_for(run, parameters.arithmetic)
    classifier = prepared_for_drawing(load_classifier(classifier_weights, device, index.classes), parameters)
    drawing = Drawing(parameters, classifier, index, run.threads)
    write_cams_in_blocks(shard_file, index, drawing.draw, run, parameters.precision, block_images=BLOCK_IMAGES)


def prepared_for_drawing(classifier: Any, parameters: Cams) -> Any:
    """A classifier in the dtype for drawing maps, folded if the method allows it.

    Args:
        classifier: on its device, in evaluation mode, of float32 weights without gradients; it may be changed.
        parameters: the CAM method and its settings.
    """
    if parameters.arithmetic == "float64":
        return classifier.double().to(memory_format=torch.channels_last)
    in_bfloat16 = parameters.arithmetic == "bfloat16"
    if parameters.method in FOLDED:  # type: ignore[attr-defined]
        classifier = folded_for_inference(classifier, by_hand=not in_bfloat16)
    classifier = classifier.to(memory_format=torch.channels_last)  # convolutions are a sixth faster, also on CPUs
    if not in_bfloat16:
        return classifier
    from wsss_core.networks.bfloat16 import with_bfloat16_trunk

    return with_bfloat16_trunk(classifier)
