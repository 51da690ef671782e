"""Exports a segmenter as an ONNX file, which other programs run without this project.

The file takes unprocessed images: uint8 RGB, any number, any size. It contains the normalisation of pixels, the
network, bilinear enlargement to the image's size, and softmax, so that it computes the same as
:func:`class_probabilities` at scale 1 without the mirror image. It does not contain the CRF.
"""

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.segmentation import Prediction
from wsss_core.config.trained_on import TRAINED_ON, trained_on
from wsss_core.datasets.label_values import label_type
from wsss_core.datasets.overlay import palette_values
from wsss_core.datasets.palette import voc_palette
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.writable import check_file_can_be_written
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.segmentation.class_probabilities import class_probabilities

OPSET = 18
"""Version of ONNX's operators, from the end of 2022, which runtimes of recent years support."""
INPUT, OUTPUTS = "images", ("probabilities", "labels")
LARGEST_DIFFERENCE = 1e-4
"""The largest allowed difference between probabilities of the file and of the network."""
TRACED_SIZE = (2, 97, 75)
"""Number of images, height and width for tracing the network: with odd sides, so that all padding is traced."""
TRIED_SIZES = ((1, 64, 96), (2, 61, 130), (1, 150, 83))
"""The same for testing the file."""
PLAIN = Prediction(scales=(1.0,), flip=False, crf=None)


class FromPixels(nn.Module):
    """A segmenter that takes pixels and returns probabilities and labels."""

    scale: Tensor
    offset: Tensor

    def __init__(self, network: SegmentationNetwork) -> None:
        """Wrap a segmenter in evaluation mode."""
        super().__init__()
        self.network = network
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in STANDARD_DEVIATION]).view(1, 3, 1, 1))
        offsets = [-mean / deviation for mean, deviation in zip(MEAN, STANDARD_DEVIATION, strict=True)]
        self.register_buffer("offset", torch.tensor(offsets).view(1, 3, 1, 1))
        self.long_labels = label_type(len(network.classes) - 1) == np.uint16

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (B, K + 1, H, W) float32 and labels (B, H, W) of images (B, H, W, 3) uint8."""
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.offset
        logits = functional.interpolate(
            self.network(pixels), size=pixels.shape[2:], mode="bilinear", align_corners=False
        )
        probabilities = logits.softmax(dim=1)
        labels = probabilities.argmax(dim=1)
        return probabilities, labels.to(torch.int32 if self.long_labels else torch.uint8)


def export_onnx(weights: Path, target: Path, long_side: int | None = None) -> float:
    """Write a segmenter as an ONNX file, after checking on images of other sizes that it computes the same.

    Args:
        weights: the segmenter's file, which needs no other file.
        target: the .onnx file to write, or overwrite, atomically. It has the input ``images`` (B, H, W, 3) uint8, the
            outputs ``probabilities`` (B, K + 1, H, W) float32 and ``labels`` (B, H, W) uint8 (int32 with more than 254
            classes), and the metadata ``classes`` (JSON list of names, the background first), ``palette`` (JSON list of
            their colours, [red, green, blue]), ``network`` (JSON: the description in the file of weights) and, if
            known, ``trained_on`` and ``long_side``.
        long_side: the longest side of the images that the network was trained on, pixels, if known.

    Returns:
        The largest difference of a probability that was found.

    Raises:
        UserError: the file cannot be written, the packages onnx and onnxruntime are missing, the weights are not a
            segmenter's, the network cannot be exported, or the file computes something else.
    """
    if target.suffix != ".onnx":
        raise UserError(f"{target}: the name of the file to write has to end in .onnx")
    check_file_can_be_written(target)
    onnx, runtime = _packages()
    network = load_segmenter(weights)
    known = {TRAINED_ON: trained_on(weights), "long_side": None if long_side is None else str(long_side)}
    content = _with_metadata(onnx, _traced(network, weights), network, known)
    difference = _largest_difference(runtime, content, network, weights)
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)
    return difference


def _packages() -> tuple[ModuleType, ModuleType]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"exporting needs the Python packages onnx and onnxruntime ({error}); install them, in the repository's "
            "folder: pip install -e '.[onnx]'"
        ) from error
    return onnx, onnxruntime


def _traced(network: SegmentationNetwork, weights: Path) -> bytes:
    """The ONNX file from torch's exporter."""
    file = io.BytesIO()
    axes = {0: "batch", 1: "height", 2: "width"}
    try:
        with warnings.catch_warnings():
            # torch warns wherever the trace depends on the size; the file is tested afterwards.
            warnings.simplefilter("ignore")
            # This exporter takes a second; the newer one, by torch.export, takes a minute.
            torch.onnx.export(
                FromPixels(network).eval(),
                (torch.zeros(*TRACED_SIZE, 3, dtype=torch.uint8),),
                file,  # type: ignore[arg-type]  # this exporter accepts it
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_axes={
                    INPUT: axes,
                    "probabilities": {0: "batch", 2: "height", 3: "width"},
                    "labels": axes,
                },
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(f"{weights}: the network has an operation that ONNX lacks: {error}") from error
    return file.getvalue()


def _with_metadata(
    onnx: ModuleType, content: bytes, network: SegmentationNetwork, known: Mapping[str, str | None]
) -> bytes:
    """The file with metadata for its users."""
    model = onnx.load_model_from_string(content)
    values = np.arange(len(network.classes), dtype=label_type(len(network.classes) - 1))
    metadata = {
        "classes": json.dumps(network.classes),
        "palette": json.dumps(voc_palette()[palette_values(values)].tolist()),
        "network": json.dumps(network.description, sort_keys=True),
        **{key: text for key, text in known.items() if text is not None},
    }
    onnx.helper.set_model_props(model, metadata)
    model.doc_string = (
        "Semantic segmentation. images: uint8 RGB (batch, height, width, 3), upright, at about the size of the images "
        "that the network was trained on. probabilities: of each class at each pixel. labels: the most likely class."
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _largest_difference(runtime: ModuleType, content: bytes, network: SegmentationNetwork, weights: Path) -> float:
    """The largest difference between probabilities of the file and of the network.

    Raises:
        UserError: it is too large, or the file does not run.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        differences = [_difference(session, network, size) for size in TRIED_SIZES]
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{weights}: the network does not run as ONNX: {error}") from error
    if not max(differences) <= LARGEST_DIFFERENCE:  # NaN is not
        by_size = ", ".join(f"{size[1]} x {size[2]}: {d:.1e}" for size, d in zip(TRIED_SIZES, differences, strict=True))
        raise UserError(
            f"{weights}: as ONNX the network computes something else on images of other sizes than it was traced with "
            f"(largest difference of a probability by size: {by_size}); its trunk cannot be exported"
        )
    return max(differences)


def _difference(session: Any, network: SegmentationNetwork, size: Sequence[int]) -> float:
    images = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = session.run([OUTPUTS[0]], {INPUT: images})[0]
    with torch.inference_mode():
        wanted = [class_probabilities(network, image, PLAIN).numpy() for image in images]
    return float(np.abs(found - np.stack(wanted)).max())
