import pandas
import pytest
import torch
from torch.nn import functional

from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from wsss_core.config.crf import Crf
from wsss_core.config.segmentation import DeepLab, Prediction
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import build_deeplab, load_deeplab
from wsss_core.segmentation.predict import class_probabilities, predict
from wsss_core.segmentation.train_segmenter import segmentation_loss, train_segmenter


@pytest.fixture
def data(tmp_path):
    index, trunk = write_images(tmp_path / "images"), write_trunk(tmp_path / "trunk.safetensors")
    label_maps = {name: tmp_path / "labels" / f"{name}.png" for name in SIZES}
    for name, path in label_maps.items():
        write_label_map(path, true_labels(name))
    return index, trunk, label_maps


def train(data, folder, epochs=1, skip=True):
    index, trunk, label_maps = data
    parameters = DeepLab(
        classifier="any",
        atrous_rates=(1, 2),
        low_level_skip=skip,
        freeze_batch_norm=True,
        optimisation=Optimisation(optimizer="adamw", epochs=epochs, batch_size=3, learning_rate=3e-3, head_factor=2),
        augmentation=Augmentation(crop=32),
    )
    weights, curve = folder / "weights.safetensors", folder / "training.csv"
    train_segmenter(parameters, TRUNK, index, label_maps, trunk, weights, curve, inputs=[trunk], device="cpu")
    return weights, pandas.read_csv(curve)


def test_the_loss_leaves_unlabelled_pixels_out():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.tensor([[[0, 255, 2, 255]] * 4])
    large = functional.interpolate(logits, size=(4, 4), mode="bilinear", align_corners=False)
    expected = functional.cross_entropy(large, labels, ignore_index=255)
    torch.testing.assert_close(segmentation_loss(logits, labels), expected)
    nothing = segmentation_loss(logits, torch.full_like(labels, 255))
    nothing.backward()
    assert nothing == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize(("skip", "agreement"), [(True, 0.9), (False, 0.8)])
def test_a_few_images_are_learned_by_heart_and_predicted(tmp_path, data, skip, agreement):
    index, _, _ = data
    weights, curve = train(data, tmp_path / "segmenter", epochs=60, skip=skip)
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0] / 3
    manifest = tmp_path / "predictions" / "labels" / "000-of-001.csv"
    predict(Prediction(scales=(1.0,), crf=None), index, weights, manifest, inputs=[weights], device="cpu")
    for name, path in read_label_manifest([manifest]).items():
        predicted = read_mask(path)
        assert predicted.shape == SIZES[name]
        assert (predicted == true_labels(name)).mean() > agreement


def test_a_label_map_of_another_size_is_named(tmp_path, data):
    write_label_map(data[2]["two"], true_labels("one"))
    with pytest.raises(UserError, match=r"two\.png.*40 x 48.*32 x 32"):
        train(data, tmp_path / "segmenter")


def test_probabilities_average_over_scales_and_mirror_images(data):
    torch.manual_seed(0)
    network = build_deeplab(DeepLab(classifier="any", atrous_rates=(1,)), TRUNK, ("a", "b")).eval()
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
        predict(parameters, index, weights, manifest, inputs=[weights], device="cpu")
    assert not manifest.exists()
    seen.append("again")
    predict(parameters, index, weights, manifest, inputs=[weights], device="cpu")
    assert [size for size in seen if size != "again"] == list(SIZES.values())
    assert all((read_mask(path) == 2).all() for path in read_label_manifest([manifest]).values())


def test_a_trained_segmenter_knows_its_classes(tmp_path, data):
    network = load_deeplab(train(data, tmp_path / "segmenter")[0])
    assert network.classes == ("background", "bird", "cat", "dog")
