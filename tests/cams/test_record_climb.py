import h5py
import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from wsss_core.cams.advcam import advcam_class_maps
from wsss_core.cams.record_climb import MOST_CLASSES, climb_steps, evenly_labelled, record_climb
from wsss_core.config.cams import AdvCams
from wsss_core.config.networks import Trunk
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.files.climb_store import read_climbs
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier

from .tiny_network import TinyClassifier

CLASSES = ("cat", "dog", "owl", "pig", "rat")


def settings(**values):
    return AdvCams(**{"classifier": "upstream", "steps": 5, "step_size": 0.2, "scales": (0.5, 1.0), **values})


def picture(seed=0, height=20, width=28):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_maps_of_the_steps_are_those_that_advcam_sums():
    network, image = TinyClassifier(), picture()
    steps = climb_steps(network, image, 2, settings())
    # Its `cam` is as large as the network's maps: nothing is resized.
    (summed,) = advcam_class_maps(network, image, [2], settings(scales=(1.0,))).cam.numpy()
    recorded = sum(step.map for step in steps)
    np.testing.assert_allclose(recorded / recorded.max(), summed / summed.max(), rtol=1e-5)
    assert len(steps) == 5 and not np.allclose(steps[0].map, steps[4].map)


def test_the_score_is_that_of_the_image_at_the_step_and_rises():
    network, image = TinyClassifier(), picture()
    scores = [step.score for step in climb_steps(network, image, 1, settings())]
    clean = normalise(image).double()[None]
    _, of_clean = network.evidence(torch.cat([clean, clean.flip(3)]))
    assert scores[0] == pytest.approx(float(of_clean[:, 1].mean()))
    assert scores[-1] > scores[0]


def test_the_image_is_kept_as_people_see_it_and_small():
    (kept, *_) = climb_steps(TinyClassifier(), picture(height=90, width=320), 0, settings())
    assert kept.image.shape == (45, 160, 3) and kept.image.dtype == np.uint8
    first, second, *_ = climb_steps(TinyClassifier(), picture(), 0, settings())
    np.testing.assert_array_equal(first.image, picture())
    assert 0 < np.abs(second.image.astype(int) - first.image).max() <= np.ceil(0.2 * 0.23 * 255)


def test_one_step_is_the_clean_image_alone():
    (only,) = climb_steps(TinyClassifier(), picture(), 0, settings(steps=1))
    np.testing.assert_array_equal(only.image, picture())


def index_of(folder, labels):
    rows = []
    for number, label in enumerate(labels):
        file = folder / f"{number}.png"
        Image.fromarray(picture(number, 32, 32)).save(file)
        rows.append([f"image/{number}", "train", str(file), 32, 32, label])
    return DatasetIndex(
        CLASSES, pandas.DataFrame(rows, columns=["image_id", "split", "image", "height", "width", "labels"])
    )


def test_images_with_a_label_are_evenly_spread(tmp_path):
    index = index_of(tmp_path, ["cat", "", "dog", "owl", "", "pig"])
    assert evenly_labelled(index, 2) == [0, 3]
    assert evenly_labelled(index, 9) == [0, 2, 3, 5]
    assert evenly_labelled(index_of(tmp_path, ["", ""]), 3) == []


def saved_classifier(folder, classes=CLASSES):
    torch.manual_seed(0)
    trunk = Trunk(network="resnet_small", output_stride=8)
    save_classifier(folder / "weights.safetensors", ClassMapClassifier(trunk, classes))
    return folder / "weights.safetensors"


def test_a_record_is_read_back_and_the_same_every_time(tmp_path):
    index, weights = index_of(tmp_path, ["cat;owl", "cat;dog;owl;pig;rat"]), saved_classifier(tmp_path)
    for name in ("one.h5", "two.h5"):
        record_climb(settings(), index, 2, weights, tmp_path / name, Run(device="cpu", provenance={"digest": "0"}))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    classes, (first, second) = read_climbs(tmp_path / "one.h5")
    assert classes == CLASSES and (first.image_id, first.height, first.width) == ("image/0", 32, 32)
    assert first.classes.tolist() == [0, 2] and second.classes.tolist() == [0, 1, 2][:MOST_CLASSES]
    assert first.maps.shape == (2, 5, 4, 4) and first.scores.shape == (2, 5)
    assert first.images.shape == (2, 5, 32, 32, 3)


def test_a_classifier_of_other_classes_is_refused(tmp_path):
    index, weights = index_of(tmp_path, ["cat"]), saved_classifier(tmp_path, ("cow",))
    with pytest.raises(UserError, match="the classifier knows the classes cow; the data set has cat, dog"):
        record_climb(settings(), index, 1, weights, tmp_path / "climb.h5", Run(device="cpu"))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "climb.h5").write_text("no HDF5")
    with pytest.raises(UserError, match=r"climb\.h5: is not a whole HDF5 file"):
        read_climbs(tmp_path / "climb.h5")
    saved = tmp_path / "other.h5"
    with h5py.File(saved, "w"):
        pass
    with pytest.raises(UserError, match="is an HDF5 file, but not one of climbs"):
        read_climbs(saved)
