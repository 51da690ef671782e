from contextlib import suppress

import h5py
import numpy as np
import pandas
import pytest
import torch
from torch.nn import functional

from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from wsss_core.config.crf import Crf
from wsss_core.config.segmentation import (
    DeepLab,
    DeepLabV2,
    DeepLabV3Plus,
    LargeFov,
    Prediction,
    PspNet,
    SegmenterOptimisation,
)
from wsss_core.config.semi_supervised import AuxiliaryDecoders, MasksOf
from wsss_core.config.trained_on import trained_on
from wsss_core.config.training import Augmentation
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.errors import UserError
from wsss_core.files.probability_store import read_probabilities
from wsss_core.jobs.run import Run
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.networks.weights import load_weights
from wsss_core.segmentation.class_probabilities import class_probabilities
from wsss_core.segmentation.losses import segmentation_losses
from wsss_core.segmentation.mixed_labels import LabelMapSamples
from wsss_core.segmentation.predict import predict
from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter
from wsss_core.training.batches import SeededSamples


@pytest.fixture
def data(tmp_path):
    index, trunk = write_images(tmp_path / "images"), write_trunk(tmp_path / "trunk.safetensors")
    label_maps = {name: tmp_path / "labels" / f"{name}.png" for name in SIZES}
    for name, path in label_maps.items():
        write_label_map(path, true_labels(name))
    return index, trunk, label_maps


ADAMW = {"optimizer": "adamw", "batch_size": 3, "learning_rate": 3e-3, "head_factor": 2}
KINDS = {
    "deeplab": (DeepLab, {"atrous_rates": (1, 2)}),
    "skip": (DeepLab, {"atrous_rates": (1, 2), "low_level_skip": True}),
    "largefov": (LargeFov, {"atrous_rate": 1, "channels": 64, "dropout": 0.1}),
    "deeplabv2": (DeepLabV2, {"atrous_rates": (1, 2)}),
    "deeplabv3plus": (DeepLabV3Plus, {"atrous_rates": (1, 2), "dropout": 0.1}),
    "pspnet": (PspNet, {"bins": (1, 2)}),
}


SOME_MASKS = {"file": "list.txt", "share": 0.5, "pseudo_weight": 0.5}
EVERY_DECODER = {"decoders": dict.fromkeys(AuxiliaryDecoders().counts, 1)}


def train(data, folder, epochs=1, kind="skip", optimisation=None, masks=None, masks_of=None, **settings):
    index, trunk, label_maps = data
    kind_of, own = KINDS[kind]
    parameters = kind_of(
        classifier="any",
        freeze_batch_norm=True,
        optimisation=SegmenterOptimisation(**{"epochs": epochs, **ADAMW, **(optimisation or {})}),
        augmentation=Augmentation(crop=32),
        **own,
        **settings,
    )
    weights, curve = folder / "weights.safetensors", folder / "training.csv"
    labels = TrainingLabels(label_maps, masks, masks_of and MasksOf(**masks_of), "mine")
    start = StartingNetwork(trunk, "random weights")
    run = Run(inputs=[trunk], device="cpu")
    train_segmenter(parameters, TRUNK, index, labels, start, weights, curve, run)
    return weights, pandas.read_csv(curve)


@pytest.mark.parametrize(
    ("kind", "agreement"),
    [("deeplab", 0.8), ("skip", 0.9), ("largefov", 0.8), ("deeplabv2", 0.8), ("deeplabv3plus", 0.9)],
)
def test_a_few_images_are_learned_by_heart_and_predicted(tmp_path, data, kind, agreement):
    index, _, _ = data
    weights, curve = train(data, tmp_path / "segmenter", epochs=60, kind=kind, compared_at="labels")
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0] / 3
    manifest = tmp_path / "predictions" / "labels" / "000-of-001.csv"
    predict(Prediction(scales=(1.0,), crf=None), index, weights, manifest, run=Run(inputs=[weights], device="cpu"))
    for name, path in read_label_manifest([manifest]).items():
        predicted = read_mask(path)
        assert predicted.shape == SIZES[name]
        assert (predicted == true_labels(name)).mean() > agreement


def test_a_pspnet_of_many_classes_learns_a_few_images(tmp_path, data):
    """With few classes, the ReLU behind its narrow layers can leave one without any gradient, as in CCT's code."""
    index, trunk, label_maps = data
    many = DatasetIndex((*index.classes, *(f"unseen {number}" for number in range(17))), index.table)
    seed = {"optimisation": {"seed": 1}}
    weights, curve = train(
        (many, trunk, label_maps), tmp_path / "segmenter", 40, "pspnet", compared_at="labels", **seed
    )
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0] / 5
    manifest = tmp_path / "predictions" / "labels" / "000-of-001.csv"
    predict(Prediction(scales=(1.0,), crf=None), many, weights, manifest, run=Run(inputs=[weights], device="cpu"))
    predicted = read_mask(read_label_manifest([manifest])["two"])
    assert (predicted == true_labels("two")).mean() > 0.8 > 1.2 * (true_labels("two") == 0).mean()


def test_a_label_map_of_another_size_is_named(tmp_path, data):
    write_label_map(data[2]["two"], true_labels("one"))
    with pytest.raises(UserError, match=r"two\.png.*40 x 48.*32 x 32"):
        train(data, tmp_path / "segmenter")


def test_probabilities_average_over_scales_and_mirror_images(data):
    torch.manual_seed(0)
    network = build_segmenter("deeplab", {"atrous_rates": (1,), "low_level_skip": False}, TRUNK, ("a", "b")).eval()
    image = read_image(data[0].image_paths[2])  # 33 x 41

    def once(pixels):
        logits = network(normalise(pixels)[None])
        return functional.interpolate(logits, size=image.shape[:2], mode="bilinear").softmax(1)[0]

    with torch.inference_mode():
        expected = sum(
            once(rescale(image, scale)) + once(rescale(image, scale)[:, ::-1]).flip(2) for scale in (0.5, 1.0)
        )
        both = class_probabilities(network, image, Prediction(scales=(0.5, 1.0), crf=None))
        one = class_probabilities(network, image, Prediction(scales=(1.0,), flip=False, crf=None))
        torch.testing.assert_close(both, expected / 4)
        torch.testing.assert_close(one, once(image))
    torch.testing.assert_close(both.sum(0), torch.ones(image.shape[:2]))


def test_the_crf_is_applied_and_a_killed_prediction_goes_on(tmp_path, data, monkeypatch):
    index, _, _ = data
    weights, _ = train(data, tmp_path / "segmenter")
    parameters = Prediction(scales=(1.0,), crf=Crf(iterations=1))
    manifest = tmp_path / "predictions" / "labels" / "000-of-001.csv"
    seen = []

    def fake_crf(image, scores, crf):
        if len(seen) == 1 and not (manifest.parent / "two.png").exists() and "again" not in seen:
            raise KeyboardInterrupt
        assert crf == parameters.crf and scores.shape == (4, *image.shape[:2])
        seen.append(image.shape[:2])
        scores = scores * 0
        scores[2] = 1
        return scores

    monkeypatch.setattr("wsss_core.refinement.crf.dense_crf", fake_crf)
    with pytest.raises(KeyboardInterrupt):
        predict(parameters, index, weights, manifest, run=Run(inputs=[weights], device="cpu"))
    assert not manifest.exists()
    seen.append("again")
    predict(parameters, index, weights, manifest, run=Run(inputs=[weights], device="cpu"))
    assert [size for size in seen if size != "again"] == list(SIZES.values())
    assert all((read_mask(path) == 2).all() for path in read_label_manifest([manifest]).values())


def test_probabilities_are_kept_on_demand_and_a_killed_job_goes_on(tmp_path, data, monkeypatch):
    index, _, _ = data
    weights, _ = train(data, tmp_path / "segmenter")
    parameters = Prediction(scales=(1.0,), crf=None, keep_probabilities=True)
    manifest = tmp_path / "predictions" / "labels" / "000-of-001.csv"
    kept = tmp_path / "predictions" / "probabilities" / "000-of-001.h5"
    seen, forward = [], SegmentationNetwork.forward

    def dying(network, images):
        seen.append(images.shape)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return forward(network, images)

    monkeypatch.setattr(SegmentationNetwork, "forward", dying)
    for _ in range(2):
        with suppress(KeyboardInterrupt):
            predict(parameters, index, weights, manifest, kept, run=Run(inputs=[weights], device="cpu"))
    assert len(seen) == 4  # the third image alone was made again
    network = load_segmenter(weights)
    for image_id, path, labels in zip(
        index.image_ids, index.image_paths, read_label_manifest([manifest]).values(), strict=True
    ):
        with torch.inference_mode():
            expected = class_probabilities(network, read_image(path), parameters).numpy()
        probabilities = read_probabilities(kept, image_id)
        assert np.abs(probabilities - expected).max() < 1e-3  # float16
        assert (read_mask(labels) == expected.argmax(axis=0)).all()
    with h5py.File(kept) as file:
        assert list(file.attrs["classes"]) == ["background", *index.classes]
    whole, forwards = kept.read_bytes(), len(seen)
    kept.unlink()
    manifest.unlink()  # as Snakemake does before a job
    predict(parameters, index, weights, manifest, kept, run=Run(inputs=[weights], device="cpu"))
    assert kept.read_bytes() == whole and len(seen) == forwards
    with pytest.raises(UserError, match="no probabilities of image 'nobody'"):
        read_probabilities(kept, "nobody")
    with pytest.raises(UserError, match="is not a whole HDF5 file"):
        read_probabilities(manifest, "one")


def test_a_segmenter_of_other_classes_is_refused(tmp_path, data):
    weights, _ = train(data, tmp_path / "segmenter")
    other = DatasetIndex(("a", "b"), data[0].table)
    with pytest.raises(UserError, match="knows the classes bird, cat, dog; the data set has a, b"):
        predict(Prediction(), other, weights, tmp_path / "labels" / "a.csv", run=Run(device="cpu"))


def test_a_trained_segmenter_knows_its_classes(tmp_path, data):
    network = load_segmenter(train(data, tmp_path / "segmenter")[0])
    assert network.classes == ("background", "bird", "cat", "dog")


@pytest.mark.parametrize("kind", [*KINDS, "consistency", "parts"])
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, data, kind, monkeypatch):
    settings = {"kind": kind}
    if kind == "consistency":
        masks = {"two": data[2]["two"]}
        settings = {"consistency": EVERY_DECODER, "masks": masks, "masks_of": SOME_MASKS}
    elif kind == "parts":
        settings = {"optimisation": {"accumulate": 3}}
    whole, _ = train(data, tmp_path / "whole", epochs=3, **settings)
    read = LabelMapSamples.__getitem__
    seen = []

    def dying(samples, index):
        seen.append(index)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return read(samples, index)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LabelMapSamples, "__getitem__", dying)
        train(data, tmp_path / "killed", epochs=3, **settings)
    again, _ = train(data, tmp_path / "killed", epochs=3, **settings)
    assert again.read_bytes() == whole.read_bytes()


def test_parts_of_a_step_give_the_mean_of_their_losses(tmp_path, data):
    """Of three images, a part each. With momentum, so that a step's size tells its gradient's."""
    sgd = {"optimizer": "sgd", "learning_rate": 1e-3, "momentum": 0.9}
    parted, curve = train(data, tmp_path / "parted", optimisation={**sgd, "accumulate": 3})
    index, _, label_maps = data
    network = load_segmenter(train(data, tmp_path / "none", epochs=1, optimisation={**sgd, "learning_rate": 1e-30})[0])
    network.requires_grad_(True).train()
    freeze_batch_norm(network.trunk)
    settings = DeepLab(classifier="any")
    samples = SeededSamples(LabelMapSamples(index, label_maps, Augmentation(crop=32)), 0)
    losses = [
        segmentation_losses([network(image[None])], labels[None], settings).sum()
        for image, labels, _ in (samples[0, number] for number in range(3))
    ]
    (sum(losses) / 3).backward()
    assert curve["loss"].tolist() == pytest.approx([sum(losses).item() / 3], rel=1e-5)
    trained = load_segmenter(parted)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = 1e-3 * (1 if name.startswith("trunk.") else 2)
            expected = parameter - rate * (parameter.grad + 1e-4 * parameter)
            torch.testing.assert_close(trained.get_parameter(name), expected.detach(), rtol=1e-5, atol=1e-7)


def test_bfloat16_is_close_and_weights_stay_in_float32(tmp_path, data):
    weights = [
        train(data, tmp_path / precision, kind=kind, optimisation={"precision": precision})
        for kind, precision in [("deeplabv2", "float32"), ("deeplabv2", "bfloat16")]
    ]
    (one, curve), (other, other_curve) = weights
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in load_weights(other)[0].values())
    assert one.read_bytes() != other.read_bytes()
    assert other_curve["loss"].tolist() == pytest.approx(curve["loss"].tolist(), rel=0.02)


def test_the_trunk_is_frozen_and_new_normalisation_learns(tmp_path, data):
    before, after = load_weights(data[1])[0], load_weights(train(data, tmp_path / "it", kind="deeplabv3plus")[0])[0]
    assert torch.equal(before["trunk.bn1.running_mean"], after["trunk.bn1.running_mean"])
    assert torch.equal(before["trunk.bn1.weight"], after["trunk.bn1.weight"])
    assert (after["skip.1.running_mean"] != 0).all()


def test_the_log_says_what_the_weights_start_from(tmp_path, data, caplog):
    with caplog.at_level("INFO"):
        train(data, tmp_path / "it")
    assert "deeplab: its weights start from random weights" in caplog.text


def test_an_imported_segmenter_is_used_as_it_is_or_trained_on(tmp_path, data):
    weights, _ = train(data, tmp_path / "first", kind="deeplabv2")
    index, _, label_maps = data

    def again(folder, kind="deeplabv2", epochs=0, index=index, **changes):
        kind_of, own = KINDS[kind]
        settings = kind_of(
            backbone="any",
            weights=str(weights),
            optimisation={"epochs": epochs, **ADAMW, "accumulate": 1},
            **{**own, **changes},
        )
        made = folder / "weights.safetensors", folder / "training.csv"
        start = StartingNetwork(weights, f"a file ({said})")
        train_segmenter(settings, TRUNK, index, TrainingLabels(label_maps), start, *made, run=Run(device="cpu"))
        return made[0]

    said = "random weights, segmentation labels of 3 images of mine"
    assert trained_on(weights) == said

    assert again(tmp_path / "same").read_bytes() == weights.read_bytes()
    with pytest.raises(UserError, match=r"options is .*\[1, 2\].* not .*\[1, 3\]"):
        again(tmp_path / "other", atrous_rates=(1, 3))
    given = load_weights(weights)[0]
    for kind, epochs in [("deeplabv2", 1), ("largefov", 1)]:
        path = again(tmp_path / kind, kind, epochs, freeze_batch_norm=True)
        assert torch.equal(load_weights(path)[0]["trunk.bn1.running_mean"], given["trunk.bn1.running_mean"])
        assert trained_on(path) == f"a file ({said}), segmentation labels of 3 images"


def test_a_file_that_does_not_say_what_it_was_trained_on_is_used_all_the_same(tmp_path, data):
    """As those of earlier versions; what is used as it is says no more than before."""
    index, _, label_maps = data
    settings = DeepLab(backbone="any", weights="old.safetensors", atrous_rates=(1,), optimisation={"epochs": 0})
    old, path = tmp_path / "old.safetensors", tmp_path / "new" / "weights.safetensors"
    network = build_segmenter("deeplab", settings.options, TRUNK, index.classes)
    save_segmenter(old, network)
    curve = tmp_path / "new" / "training.csv"
    start = StartingNetwork(old, "nobody says what (old)")
    train_segmenter(settings, TRUNK, index, TrainingLabels(label_maps), start, path, curve, Run(device="cpu"))
    assert path.read_bytes() == old.read_bytes() and trained_on(path) is None
    save_segmenter(path, network, "ImageNet, COCO")
    assert load_segmenter(path).description == load_segmenter(old).description
    assert trained_on(path) == "ImageNet, COCO"


def test_a_part_too_small_for_the_network_is_refused(tmp_path, data):
    """Of DeepLabV3+'s pooled features, one image has a single value a channel."""
    index, trunk, label_maps = data
    one = (index, trunk, {"two": label_maps["two"]})
    with pytest.raises(UserError, match=r"in a step: 1, .* deeplabv3plus .* at least 2 images; train on more images"):
        train(one, tmp_path / "one", kind="deeplabv3plus")
    two = (index, trunk, {name: label_maps[name] for name in ("one", "two")})
    with pytest.raises(UserError, match=r"in a step: 2, parts of a step: 2; .* lower 'optimisation.accumulate'"):
        train(two, tmp_path / "two", kind="deeplabv3plus", optimisation={"batch_size": 4, "accumulate": 2})
    train(two, tmp_path / "whole", kind="deeplabv3plus")
    train(one, tmp_path / "other", kind="deeplab")


def test_a_share_of_less_than_one_image_of_an_epoch_is_refused(tmp_path, data):
    """Two images are in an epoch's step, and the third is left out."""
    few = {"masks": {"one": data[2]["one"]}, "masks_of": {"file": "list.txt", "share": 0.45}}
    with pytest.raises(UserError, match=r"'masks_of.share' is 0.45, .* the 2 images .* 0.5 or more"):
        train(data, tmp_path / "few", **few, optimisation={"batch_size": 2})
    train(data, tmp_path / "enough", **few)


def test_masks_outweigh_wrong_pseudo_labels(tmp_path, data):
    """Of all three images, pseudo labels say one class; of two there are masks."""
    index, trunk, masks = data
    wrong = {name: tmp_path / "wrong" / f"{name}.png" for name in SIZES}
    for name, path in wrong.items():
        write_label_map(path, np.full(SIZES[name], 2, np.uint8))
    listed = {name: masks[name] for name in ("one", "two")}
    correct = []
    for weight in (0.01, 5):
        masks_of = {"file": "list.txt", "pseudo_weight": weight}
        path, _ = train(
            (index, trunk, wrong), tmp_path / str(weight), 40, masks=listed, masks_of=masks_of, compared_at="labels"
        )
        manifest = tmp_path / f"predictions-{weight}" / "labels" / "000-of-001.csv"
        predict(Prediction(scales=(1.0,), crf=None), index, path, manifest, run=Run(inputs=[path], device="cpu"))
        found = read_label_manifest([manifest])
        correct.append((read_mask(found["none"]) == true_labels("none")).mean())
    assert correct[0] > 0.9 and correct[1] < 0.5


def test_consistency_trains_a_segmenter_of_the_ordinary_kind(tmp_path, data, caplog):
    index, trunk, masks = data
    listed = {"one": masks["one"]}
    with caplog.at_level("INFO"):
        path, curve = train(
            (index, trunk, {}),
            tmp_path / "it",
            kind="deeplabv2",
            masks=listed,
            masks_of={"file": "list.txt", "share": 0.5},
            consistency=EVERY_DECODER | {"ramp_up": 0},
            optimisation={"accumulate": 3},
        )
    assert "training on 1 images with masks and 2 others" in caplog.text
    row = curve.iloc[0]
    assert row["consistency"] > 0 and row["auxiliary"] == 0  # the other images have no label
    assert row["loss"] == pytest.approx(row["supervised"] + row["consistency"], rel=1e-5)
    plain, _ = train(data, tmp_path / "plain", kind="deeplabv2")
    assert load_weights(path)[0].keys() == load_weights(plain)[0].keys()
    assert load_segmenter(path).description == load_segmenter(plain).description
