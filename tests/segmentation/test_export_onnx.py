"""Segmenters as ONNX: what onnxruntime computes is what the network does, whatever number and size of images."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from tests.docs.markdown import REPOSITORY
from tests.networks.test_any_trunk import SEGMENTERS, TRUNKS, trunk_of, with_statistics
from wsss_core.datasets.palette import voc_palette
from wsss_core.errors import UserError
from wsss_core.networks.pspnet import SubPixelDoubling
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.segmentation import export_onnx as module
from wsss_core.segmentation.class_probabilities import class_probabilities
from wsss_core.segmentation.export_onnx import PLAIN, export_onnx

CLASSES = ("cat", "dog", "café")
SIZES = ((1, 33, 50), (3, 64, 40), (1, 91, 141))
PROGRAM = REPOSITORY / "docs/examples/onnx_labels.py"


def written(folder, segmenter="deeplab, skip", trunk="resnet_small", trained_on=None):
    """A segmenter's file; its logits are of the size of a trained one's."""
    torch.manual_seed(0)
    settings = SEGMENTERS[segmenter]
    network = build_segmenter(settings.network, settings.options, trunk_of(trunk), CLASSES).eval()
    with_statistics(network)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, SubPixelDoubling):
                part.convolution.bias.fill_(1)  # else the ReLU behind it may let nothing through
        spread = float(network(torch.randn(1, 3, 64, 64)).std())
        last = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d) and part.out_channels == 4]
        for layer in last:
            layer.weight.mul_(2 / max(spread, 1e-6))
    save_segmenter(folder / "weights.safetensors", network, trained_on)
    return folder / "weights.safetensors"


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def check(folder, segmenter, trunk):
    weights, target = written(folder, segmenter, trunk), folder / "model.onnx"
    assert export_onnx(weights, target) <= 1e-4
    session, network = session_of(target), load_segmenter(weights)
    for size in SIZES:
        images = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
        probabilities, labels = session.run(None, {"images": images})
        with torch.inference_mode():
            wanted = np.stack([class_probabilities(network, image, PLAIN).numpy() for image in images])
        assert np.ptp(wanted, axis=(2, 3)).max() > 0.1  # the comparison is one of something
        np.testing.assert_allclose(probabilities, wanted, atol=1e-4)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_every_segmenter(tmp_path, segmenter):
    check(tmp_path, segmenter, "resnet_small")


@pytest.mark.parametrize("trunk", ["efficientnet", "resnet38_small"])
def test_trunks_that_pad_and_that_do_not(tmp_path, trunk):
    check(tmp_path, "deeplab, skip", trunk)


@pytest.mark.slow
@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_every_segmenter_on_every_kind_of_trunk(tmp_path, segmenter, trunk):
    check(tmp_path, segmenter, trunk)


def test_the_file_says_what_its_user_has_to_know_and_equal_input_gives_equal_bytes(tmp_path):
    weights = written(tmp_path, trained_on="ImageNet, and labels")
    for name in ("one.onnx", "two.onnx"):
        export_onnx(weights, tmp_path / name, 224)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    onnx.checker.check_model(onnx.load(tmp_path / "one.onnx"), full_check=True)
    session = session_of(tmp_path / "one.onnx")
    reported = session.get_modelmeta().custom_metadata_map
    assert json.loads(reported["classes"]) == ["background", *CLASSES]
    assert json.loads(reported["palette"]) == voc_palette()[:4].tolist()
    assert json.loads(reported["network"])["trunk"]["network"] == "resnet_small"
    assert (reported["trained_on"], reported["long_side"]) == ("ImageNet, and labels", "224")
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    assert [output.name for output in session.get_outputs()] == ["probabilities", "labels"]


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    """As of a trunk that does another thing at another size, where tracing sees one of the two."""
    weights = written(tmp_path)
    real = module._traced

    def traced(network, weights):
        with torch.no_grad():
            network.trunk.conv1.weight.mul_(2)
        try:
            return real(network, weights)
        finally:
            with torch.no_grad():
                network.trunk.conv1.weight.div_(2)

    monkeypatch.setattr(module, "_traced", traced)
    with pytest.raises(UserError, match=r"as ONNX the network computes something else .* its trunk cannot be exported"):
        export_onnx(weights, tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weights.safetensors"]


def test_what_is_missing_is_reported_before_anything_is_computed(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"model.pt: the name of the file to write has to end in .onnx"):
        export_onnx(tmp_path / "none.safetensors", tmp_path / "model.pt")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"exporting needs the Python packages onnx and onnxruntime .* pip install"):
        export_onnx(tmp_path / "none.safetensors", tmp_path / "model.onnx")


def test_the_manuals_program_labels_an_image_without_this_project(tmp_path):
    weights = written(tmp_path)
    export_onnx(weights, tmp_path / "model.onnx", 96)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).resize((180, 120)).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    arguments = [sys.executable, PROGRAM, "model.onnx", "photo.jpg", "labels.png"]
    done = subprocess.run(arguments, cwd=tmp_path, text=True, capture_output=True, check=True)
    program = PROGRAM.read_text()
    assert "wsss" not in program and "torch" not in program
    assert len([line for line in program.splitlines()[1:] if line]) <= 20
    with Image.open(tmp_path / "labels.png") as labels:
        assert labels.mode == "P" and labels.size == (120, 180)
        found = {value for _, value in labels.getcolors()}
        assert labels.getpalette()[:12] == voc_palette()[:4].flatten().tolist()
    reported = dict(line.split(": ") for line in done.stdout.splitlines())
    assert set(reported) == {("background", *CLASSES)[value] for value in found}
