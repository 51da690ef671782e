"""`segment` and `export` as a person types them: on an experiment's network, and on a file alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.refinement.tiny_data import CLASSES, TRUNK
from tests.report.test_show import CONFIG
from wsss_core.__main__ import main
from wsss_core.config import load_config
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import Prediction
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter
from wsss_core.plan.plan import Plan
from wsss_core.segmentation import segment_images as module
from wsss_core.segmentation.segment_images import Outcome

OPTIONS = {"atrous_rates": (1, 2), "low_level_skip": True}
PREDICTION = {"scales": [1.0, 1.5], "flip": False, "crf": None}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A configuration whose experiment `cam` has a trained segmenter, and two new images, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    settings = {**CONFIG, "segmenters": {"deeplab": {**CONFIG["segmenters"]["deeplab"], "prediction": PREDICTION}}}
    settings["dataset"] = {**CONFIG["dataset"], "format": "folder", "long_side": 64}
    settings["dataset"].pop("classes")
    Path("config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    weights = Path(Plan(load_config(settings)).experiments["cam"]["segmenter"].path("weights.safetensors"))
    weights.parent.mkdir(parents=True)
    torch.manual_seed(0)
    save_segmenter(weights, build_segmenter("deeplab", OPTIONS, TRUNK, CLASSES))
    Path("weights.safetensors").symlink_to(weights)
    Path("new/day 1").mkdir(parents=True)
    Image.fromarray(np.full((80, 120, 3), 90, np.uint8)).save("new/day 1/photo.jpg")
    Path("new/torn.jpg").write_bytes(b"\xff\xd8\xff")
    return tmp_path


@pytest.fixture
def given(folder, monkeypatch):
    """What `segment_images` is called with, in place of the work."""
    calls = []

    def note(*arguments):
        calls.append(arguments)
        return Outcome(made=1)

    monkeypatch.setattr(module, "segment_images", note)
    return calls


def test_images_are_labelled_and_faults_reported_at_the_end(folder, capsys):
    command = ["segment", "--experiment", "cam", "new", "--out", "new/seen"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert said.out == "1 images segmented: new/seen\n"
    assert said.err.startswith("1 images could not be segmented:\n  new/torn.jpg: begins as a JPEG image")
    assert Image.open("new/seen/labels/day 1/photo.png").size == (120, 80)
    # What was made is no new image, and is not made again.
    Path("new/torn.jpg").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out == "0 images segmented, and 1 were done before: new/seen\n"


def test_earlier_results_are_no_images_and_unread_formats_are_reported(folder, capsys):
    Path("new/torn.jpg").unlink()
    assert main(["segment", "--experiment", "cam", "new", "--out", "new/first"]) == 0
    Path("new/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["segment", "--experiment", "cam", "new", "--out", "second", "--scales", "1"]) == 1
    said = capsys.readouterr()
    assert "1 images segmented: second" in said.out and "new/IMG_1.HEIC: is a HEIC" in said.err
    assert [path.name for path in Path("second/labels").rglob("*.png")] == ["photo.png"]
    # A folder of images may be that of the results, too.
    assert main(["segment", "--experiment", "cam", "new", "--out", "new", "--flip"]) == 1
    assert main(["segment", "--experiment", "cam", "new", "--out", "third"]) == 1
    assert [path.name for path in Path("third/labels").rglob("*.png")] == ["photo.png"]


def test_settings_are_those_of_the_predictions(given):
    assert main(["segment", "--experiment", "cam", "new", "--out", "seen"]) == 0
    (weights, files, out, wanted, device, threads) = given[0]
    assert weights.exists() and set(files) == {"day 1/photo", "torn"} and out == Path("seen")
    assert (wanted.prediction, wanted.long_side) == (Prediction(**PREDICTION), 64)
    assert (wanted.overlays, device, threads) == (True, "auto", 1)


def test_settings_can_be_switched(given):
    options = "--scales 1 0.5 --flip --crf --no-overlays --probabilities --long-side 100 --device cpu --threads 3"
    assert main(["segment", "--experiment", "cam", "new", "--out", "seen", *options.split()]) == 0
    (*_, wanted, device, threads) = given[0]
    assert wanted.prediction == Prediction(scales=(1.0, 0.5), flip=True, keep_probabilities=True)
    assert wanted.prediction.crf is not None
    assert (wanted.long_side, wanted.overlays, device, threads) == (100, False, "cpu", 3)


def test_a_file_says_all_that_is_needed(given):
    Path("config.yaml").unlink()
    assert main(["segment", "--weights", "weights.safetensors", "new", "--out", "seen", "--no-crf"]) == 0
    (*_, wanted, device, _) = given[0]
    assert wanted.prediction == Prediction(crf=None) and (wanted.long_side, device) == (None, "auto")


@pytest.mark.parametrize(
    "arguments, reported",
    [
        (["new", "--experiment", "advca"], "did you mean 'advcam'?"),
        (["new", "--experiment", "advcam"], "is not made yet; `snakemake segmenter` trains the segmenter"),
        (["nowhere", "--experiment", "cam"], "nowhere: there is no such file or folder"),
        (["new", "--weights", "new/torn.jpg"], "new/torn.jpg: is a JPEG image; expected a .safetensors file"),
        (["new", "--weights", "none.safetensors"], "none.safetensors: there is no such weights file"),
        (
            ["new", "--experiment", "cam", "--scales", "1", "1"],
            "--scales: scales must be different numbers, not [1.0, 1.0]",
        ),
        (
            ["new", "--experiment", "cam", "--scales", "0"],
            "--scales: should be greater than or equal to 0.05, not 0.0",
        ),
        (["new", "--experiment", "cam", "--scales", "nan"], "--scales: should be a finite number"),
        (["new", "--experiment", "cam", "--scales", "50"], "--scales: should be less than or equal to 8"),
        (["new", "--experiment", "cam", "--threads", "0"], "--threads and --long-side: must be at least 1"),
        (["new", "--experiment", "cam", "--configfile", "x.yaml"], "x.yaml: cannot be read"),
    ],
)
def test_what_is_wrong_is_reported_before_anything_is_done(folder, capsys, arguments, reported):
    assert main(["segment", *arguments, "--out", "seen"]) == 2
    said = capsys.readouterr()
    assert reported in said.err and said.out == "" and not Path("seen").exists()


@pytest.mark.parametrize(
    "command, reported",
    [
        ("segment --experiment cam new --out config.yaml", "config.yaml: cannot be written, as config.yaml is a file"),
        ("segment --experiment cam new --out config.yaml/x", "as config.yaml is a file"),
        ("export --experiment cam dir.onnx", "dir.onnx: is a folder; name a file"),
        ("export --experiment cam config.yaml/m.onnx", "as config.yaml is a file"),
        ("labels export --experiment cam --out config.yaml", "as config.yaml is a file"),
        ("labels import new --out config.yaml/x", "as config.yaml is a file"),
        ("pack cam --out dir.zip", "dir.zip: is a folder; name a file"),
        ("unpack dir.zip", "dir.zip: is a folder, not a box"),
    ],
)
def test_places_that_cannot_be_written(folder, capsys, monkeypatch, command, reported):
    Path("dir.onnx").mkdir()
    Path("dir.zip").mkdir()
    monkeypatch.setattr("wsss_core.segmentation.export_onnx.load_segmenter", None)  # it would be too late then
    assert main(command.split()) == 2
    said = capsys.readouterr()
    assert reported in said.err and said.out == ""


def test_an_experiments_network_is_exported(folder, capsys):
    assert main(["export", "--experiment", "cam", "model.onnx"]) == 0
    assert capsys.readouterr().out.startswith("model.onnx: probabilities differ from the network's by at most ")
    assert Path("model.onnx").stat().st_size > 10_000


MEASURED = """
import sys
from wsss_core.__main__ import main
status = main(sys.argv[1:])
# Not getrusage: its peak is that of the process that started this one, too.
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(status)
"""


@pytest.mark.slow
def test_a_photograph_of_24_megapixels_takes_2_gib_beyond_the_weights(tmp_path):
    """All of a process's memory, torch's code included, less the weights' file."""
    rows, columns = np.mgrid[:4000, :6000]
    pixels = np.stack([rows // 16 % 256, columns // 64 % 256, (rows + columns) // 16 % 256], axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", exif=exif)
    trunk = Trunk(network="resnet50", output_stride=16, dilated=True)
    network = build_segmenter("deeplab", {**OPTIONS, "low_level_skip": False}, trunk, [f"c{k}" for k in range(20)])
    weights = tmp_path / "weights.safetensors"
    save_segmenter(weights, network)
    # Only the largest of the default's scales: the others need less.
    given = ["segment", "--weights", weights, tmp_path / "photo.jpg", "--out", tmp_path / "out", "--scales", "1.5"]
    command = [sys.executable, "-c", MEASURED, *map(str, given), "--crf", "--device", "cpu", "--probabilities"]
    said = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    assert int(said[-1]) - weights.stat().st_size < 2**31
    assert Image.open(tmp_path / "out/labels/photo.png").size == (4000, 6000)
    assert Image.open(tmp_path / "out/overlays/photo.jpg").size == (4000, 6000)
