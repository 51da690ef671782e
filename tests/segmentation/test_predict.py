import numpy as np
import pytest
import torch
from PIL import Image

from tests.refinement.tiny_data import CLASSES, SMALL_CRF, TRUNK, write_images
from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.files.probability_store import merge_probabilities, read_probabilities, write_probabilities
from wsss_core.jobs.run import Run
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter
from wsss_core.segmentation import class_probabilities as batches
from wsss_core.segmentation.class_probabilities import (
    batches_of,
    class_probabilities,
    prediction_network,
    scored_images,
)
from wsss_core.segmentation.predict import predict

CUDA = torch.device("cuda")
BOTH_SCALES = Prediction(scales=(0.5, 1.0), crf=None)
WITH_CRF = Prediction(scales=(1.0,), crf=SMALL_CRF)


def network():
    torch.manual_seed(0)
    return build_segmenter("deeplab", {"atrous_rates": (1, 2), "low_level_skip": True}, TRUNK, CLASSES).eval()


@pytest.fixture
def index(tmp_path):
    save_segmenter(tmp_path / "weights.safetensors", network())
    return write_images(tmp_path / "images")


@pytest.fixture
def same_size(index):
    """The three images, all of the first one's size."""
    height, width = index.table.loc[0, ["height", "width"]]
    for path in index.image_paths:
        Image.open(path).resize((width, height)).save(path)
    return DatasetIndex(index.classes, index.table.assign(height=height, width=width))


def run(index, tmp_path, name, parameters=WITH_CRF, threads=1):
    """What ``predict`` makes in a folder of this name: the bytes of its files."""
    manifest, kept = tmp_path / name / "labels" / "shard.csv", None
    if parameters.keep_probabilities:
        kept = tmp_path / name / "probabilities" / "shard.h5"
    weights = tmp_path / "weights.safetensors"
    predict(parameters, index, weights, manifest, kept, Run([weights], "cpu", threads))
    return {path.relative_to(tmp_path / name): path.read_bytes() for path in files_of(tmp_path / name)}


def files_of(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and ".partial" not in path.parts]


def test_images_of_one_size_go_through_a_gpu_together(index, monkeypatch):
    table = index.table.loc[[0, 1, 0, 0, 1, 0, 0]].reset_index(drop=True)  # 40x48 and 32x32 pixels
    index = DatasetIndex(index.classes, table)
    monkeypatch.setattr(batches, "pixels_at_once", lambda device: 3 * 2 * 40 * 48)
    everything = batches_of(index, range(7), BOTH_SCALES, CUDA)
    assert everything == [(0, 2, 3), (5, 6), (1, 4)]
    # Of a killed run's batches those with a missing image, as they were.
    assert batches_of(index, {3, 4}, BOTH_SCALES, CUDA) == [(0, 2, 3), (1, 4)]
    larger = Prediction(scales=(1.0, 1.5), crf=None)
    assert batches_of(index, {6, 1}, larger, CUDA) == [(6,), (1, 4)]
    assert batches_of(index, {1, 6}, larger, torch.device("cpu")) == [(1,), (6,)]


def test_images_of_a_batch_get_their_own_probabilities(same_size):
    segmenter = prediction_network(network().double(), BOTH_SCALES)
    scored = list(scored_images(segmenter, same_size, [(0, 2), (1,)], BOTH_SCALES))
    assert [image.position for image in scored] == [0, 2, 1]
    for image in scored:
        pixels = read_image(same_size.image_paths[image.position])
        assert (image.image == pixels).all()
        with torch.inference_mode():
            expected = class_probabilities(network().double(), pixels, BOTH_SCALES)
        torch.testing.assert_close(torch.from_numpy(image.probabilities), expected, rtol=0, atol=1e-10)


def test_bfloat16_changes_probabilities_little(index):
    exact, rough = (Prediction(scales=(1.0,), crf=None, arithmetic=name) for name in ("float32", "bfloat16"))
    image = read_image(index.image_paths[0])
    with torch.inference_mode():
        expected = class_probabilities(prediction_network(network(), exact), image, exact)
        found = class_probabilities(prediction_network(network(), rough), image, rough)
    assert found.dtype == torch.float32
    assert 1e-6 < (found - expected).abs().max() < 0.01
    torch.testing.assert_close(found.sum(0), torch.ones(image.shape[:2]))


def test_the_same_bytes_with_worker_processes(index, tmp_path):
    parameters = WITH_CRF.model_copy(update={"keep_probabilities": True})
    alone = run(index, tmp_path, "alone", parameters)
    assert len(alone) == len(index) + 2
    assert run(index, tmp_path, "together", parameters, threads=2) == alone
    assert not list(tmp_path.rglob(".writing-*"))


@pytest.mark.parametrize("parameters", [Prediction(scales=(1.0,), crf=None), WITH_CRF], ids=["largest", "crf"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_damaged_image_is_named_and_the_others_before_it_are_kept(index, tmp_path, threads, parameters, caplog):
    whole = run(index, tmp_path, "whole", parameters)
    damaged = index.image_paths[2]
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=f"{damaged.name}: is truncated or damaged"):
        run(index, tmp_path, "again", parameters, threads)
    assert [path.name for path in files_of(tmp_path / "again")] == ["one.png", "two.png"]
    damaged.write_bytes(content)
    with caplog.at_level("INFO"):
        assert run(index, tmp_path, "again", parameters, threads) == whole
    assert "predicting: continuing after 2 images" in caplog.text


def test_an_image_of_another_size_than_the_index_says_is_named(index, tmp_path):
    Image.new("RGB", (20, 30)).save(index.image_paths[1])
    name = index.image_paths[1].name
    with pytest.raises(UserError, match=rf"{name}: the image is 30 x 20 pixels, but was 32 x 32 when"):
        run(index, tmp_path, "predictions")


def test_probabilities_alone_are_made_again(index, tmp_path, monkeypatch):
    parameters = WITH_CRF.model_copy(update={"keep_probabilities": True})
    whole = run(index, tmp_path, "predictions", parameters)
    for path in (tmp_path / "predictions").rglob("*.h5"):
        path.unlink()  # and what would put it back
    (tmp_path / "predictions" / "labels" / "shard.csv").unlink()

    def not_wanted(*arguments, **named):
        raise AssertionError("label maps are there")

    for function in ("refined_labels", "write_label_map"):
        monkeypatch.setattr(f"wsss_core.segmentation.predict.{function}", not_wanted)
    assert run(index, tmp_path, "predictions", parameters) == whole


def test_parts_are_joined_as_they_are(tmp_path):
    random = np.random.default_rng(0)
    images = [(name, random.random((2, 5, 7)).astype(np.float32)) for name in ("b", "a/c", ".")]
    parts = [tmp_path / f"{number}.h5" for number in range(3)]
    for part, image in zip(parts, images, strict=True):
        write_probabilities(part, ("background", "x"), [image])
    write_probabilities(tmp_path / "at_once.h5", ("background", "x"), images)
    merge_probabilities(tmp_path / "joined.h5", ("background", "x"), parts)
    for name, probabilities in images:
        found = [read_probabilities(tmp_path / f"{way}.h5", name) for way in ("joined", "at_once")]
        assert (found[0] == found[1]).all() and np.abs(found[0] - probabilities).max() < 1e-3
    merge_probabilities(tmp_path / "again.h5", ("background", "x"), parts)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "joined.h5").read_bytes()
