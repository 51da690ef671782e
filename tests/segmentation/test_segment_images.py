"""Files and folders of new images: what is made, what goes on after a kill, what is reported of single files."""

import csv
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from tests.refinement.tiny_data import CLASSES, SMALL_CRF, TRUNK, write_images
from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.errors import UserError
from wsss_core.files.probability_store import read_probabilities
from wsss_core.jobs.run import Run
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter
from wsss_core.segmentation import segment_images as module
from wsss_core.segmentation.new_images import find_new_images
from wsss_core.segmentation.predict import predict
from wsss_core.segmentation.segment_images import Wanted, segment_images

WANTED = Wanted(Prediction(scales=(1.0, 1.5), crf=SMALL_CRF))


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = build_segmenter("deeplab", {"atrous_rates": (1, 2), "low_level_skip": True}, TRUNK, CLASSES)
    network.decoder[1].weight.data *= 20  # sure of what it says
    save_segmenter(tmp_path / "weights.safetensors", network)
    return tmp_path / "weights.safetensors"


@pytest.fixture
def index(tmp_path):
    return write_images(tmp_path / "images")


def files_of(index):
    return dict(zip(index.image_ids, index.image_paths, strict=True))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(out):
    with open(out / "segmented.csv", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_label_maps_are_those_of_the_workflow(weights, index, tmp_path):
    outcome = segment_images(weights, files_of(index), tmp_path / "out", WANTED, "cpu")
    assert (outcome.made, outcome.earlier, outcome.shrunken, outcome.faults) == (3, 0, 0, [])
    manifest = tmp_path / "predicted" / "labels" / "shard.csv"
    predict(WANTED.prediction, index, weights, manifest, run=Run([weights], "cpu"))
    of_workflow = {path.name: path.read_bytes() for path in manifest.parent.glob("*.png")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/labels").iterdir()} == of_workflow
    assert len({*b"".join(np.asarray(Image.open(p)).tobytes() for p in manifest.parent.glob("*.png"))}) > 1


def test_everything_that_was_asked_for_is_there_and_says_what_it_is(weights, index, tmp_path):
    wanted = Wanted(Prediction(scales=(1.0,), crf=None, keep_probabilities=True))
    out = tmp_path / "out"
    segment_images(weights, files_of(index), out, wanted, "cpu")
    labels = np.asarray(Image.open(out / "labels/one.png"))
    assert labels.shape == (40, 48) and Image.open(out / "labels/one.png").mode == "P"
    likeliest = read_probabilities(out / "probabilities/one.h5", "one").argmax(axis=0)
    assert (likeliest == labels).mean() > 0.99  # kept as float16, in which some are equal
    assert Image.open(out / "overlays/one.jpg").size == (48, 40)
    names = (out / "classes.csv").read_text().splitlines()
    assert names[:3] == ["value,class,red,green,blue", "0,background,0,0,0", "1,bird,128,0,0"]
    row = rows(out)["one"]
    assert (row["height"], row["width"], row["seen_height"]) == ("40", "48", "40")
    assert row["classes"].split(";") == [("background", *CLASSES)[value] for value in np.unique(labels)]
    assert json.loads((out / "settings.json").read_text())["settings"]["prediction"]["crf"] is None
    bare = tmp_path / "bare"
    segment_images(weights, files_of(index), bare, Wanted(wanted.prediction, overlays=False), "cpu")
    assert not (bare / "overlays").exists()


def test_processes_change_nothing(weights, index, tmp_path):
    for threads in (1, 2):
        segment_images(weights, files_of(index), tmp_path / str(threads), WANTED, "cpu", threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_photograph_is_upright_and_seen_small(weights, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(np.full((60, 90, 3), 120, np.uint8)).save(tmp_path / "photo.jpg", exif=exif)
    outcome = segment_images(
        weights, {"photo": tmp_path / "photo.jpg"}, tmp_path / "out", Wanted(WANTED.prediction, 45), "cpu"
    )
    assert outcome.shrunken == 1
    assert Image.open(tmp_path / "out/labels/photo.png").size == (60, 90)
    assert Image.open(tmp_path / "out/overlays/photo.jpg").size == (60, 90)
    row = rows(tmp_path / "out")["photo"]
    assert (row["height"], row["width"], row["seen_height"], row["seen_width"]) == ("90", "60", "45", "30")


def test_faults_of_single_files_do_not_keep_others_from_being_done(weights, index, tmp_path):
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff and no more")
    files = {"torn": tmp_path / "torn.jpg", **files_of(index)}
    for threads in (1, 2):
        outcome = segment_images(weights, files, tmp_path / f"out{threads}", WANTED, "cpu", threads)
        assert outcome.made == 3 and len(outcome.faults) == 1 and "torn.jpg: begins as a JPEG" in outcome.faults[0]
        assert sorted(rows(tmp_path / f"out{threads}")) == ["none", "one", "two"]


def test_an_image_that_memory_does_not_hold_is_a_fault_of_its_own(weights, index, tmp_path, monkeypatch):
    whole = module.probabilities_of_views

    def scarce(network, image, settings):
        if image.shape[:2] == (32, 32):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return whole(network, image, settings)

    monkeypatch.setattr(module, "probabilities_of_views", scarce)
    outcome = segment_images(weights, files_of(index), tmp_path / "out", WANTED, "cpu")
    assert outcome.made == 2 and "a smaller --long-side needs less" in outcome.faults[0]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", ["write_overlay", "write_label_map"])
def test_a_killed_run_goes_on_with_what_is_missing(weights, index, tmp_path, monkeypatch, at):
    segment_images(weights, files_of(index), tmp_path / "whole", WANTED, "cpu")
    real, calls = getattr(module, at), []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        real(*arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, at, killed)
        with pytest.raises(Killed):
            segment_images(weights, files_of(index), out, WANTED, "cpu")
    with open(out / "segmented.csv", "a") as record:
        record.write('two,"cut sho')  # as the kill may leave it
    outcome = segment_images(weights, files_of(index), out, WANTED, "cpu")
    assert (outcome.earlier, outcome.made) == (1, 2)
    assert contents(out) == contents(tmp_path / "whole")


def test_only_what_is_new_missing_or_changed_is_made(weights, index, tmp_path):
    files, out = files_of(index), tmp_path / "out"
    segment_images(weights, {"one": files["one"]}, out, WANTED, "cpu")
    assert segment_images(weights, files, out, WANTED, "cpu").made == 2
    (out / "labels/one.png").unlink()
    Image.fromarray(255 - read_image(files["two"])).save(files["two"])
    outcome = segment_images(weights, files, out, WANTED, "cpu")
    assert (outcome.made, outcome.earlier) == (2, 1)
    more = Wanted(WANTED.prediction.model_copy(update={"keep_probabilities": True}))
    assert segment_images(weights, files, out, more, "cpu").made == 3
    assert segment_images(weights, files, out, WANTED, "cpu").made == 0
    assert sorted(rows(out)) == ["none", "one", "two"]


def test_labels_of_other_networks_and_settings_are_not_mixed(weights, index, tmp_path):
    out, files = tmp_path / "out", files_of(index)
    segment_images(weights, {}, out, WANTED, "cpu")
    with pytest.raises(UserError, match=r"out: holds labels of other settings .*choose another folder"):
        segment_images(weights, files, out, Wanted(WANTED.prediction, 50), "cpu")
    network = build_segmenter("deeplab", {"atrous_rates": (1, 2), "low_level_skip": True}, TRUNK, CLASSES)
    save_segmenter(tmp_path / "other.safetensors", network)
    with pytest.raises(UserError, match="out: holds labels of another network"):
        segment_images(tmp_path / "other.safetensors", files, out, WANTED, "cpu")
    (out / "settings.json").write_text("{")
    with pytest.raises(UserError, match=r"settings.json: is not from `python -m wsss_core segment`"):
        segment_images(weights, files, out, WANTED, "cpu")


def test_folders_are_searched_and_names_keep_their_folders(tmp_path):
    for name in ("a/one.jpg", "a/day 1/one.png", "a/note.txt", "out/labels/x.png", "a/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_new_images([tmp_path / "a"])
    assert found.files == {"day 1/one": tmp_path / "a/day 1/one.png", "one": tmp_path / "a/one.jpg"}
    assert list(find_new_images([tmp_path / "a/one.jpg", tmp_path / "a"]).files) == ["one", "day 1/one"]
    assert "labels/x" not in find_new_images([tmp_path], [tmp_path / "out/labels"]).files


def test_names_that_would_meet_are_reported_before_anything_is_done(tmp_path):
    for name in ("a/one.jpg", "b/one.jpg", "c/two.jpg", "c/two.png", "c/three.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="would have the same name, 'one'; rename one, give the folder that holds both"):
        find_new_images([tmp_path / "a", tmp_path / "b"])
    found = find_new_images([tmp_path / "c"])
    assert list(found.files) == ["three"] and "have the same id, 'two'" in found.faults[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: holds no images"):
        find_new_images([tmp_path / "empty"])
    with pytest.raises(UserError, match="nowhere: there is no such file or folder"):
        find_new_images([tmp_path / "nowhere"])


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_no_text_is_a_fault_of_its_own(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"")
    found = find_new_images([path])
    assert not found.files and r"caf\xe9.jpg: the name is not UTF-8" in found.faults[0].replace("\\udce9", "\\xe9")
