import json
import math

import numpy as np
import pytest

from wsss_core import draw_cams
from wsss_core.cams.balance_classes import balance_classes, measure_classes
from wsss_core.config.cams import MultiscaleCams
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store

CLASSES = ("cat", "cow", "dog")


def maps_of(generator, classes, size=(5, 7), sharp=1.0):
    """Maps whose largest value is 1, with those of class 2 lower than the others elsewhere."""
    maps = (
        generator.beta(0.8, 1.2, (len(classes), *size))
        ** np.array([sharp if c == 2 else 1 for c in classes])[:, None, None]
    )
    return (maps / maps.max(axis=(1, 2), keepdims=True)).astype(np.float32)


@pytest.fixture
def drawn(tmp_path):
    generator = np.random.default_rng(5)
    shown = {"a": [0], "b": [0, 2], "c": [2], "d": [1, 2], "e": []}
    images = [
        ImageCams(
            name,
            np.array(classes, np.int16),
            maps_of(generator, classes, sharp=2.5),
            maps_of(generator, classes, (20, 28)),
            20,
            28,
        )
        for name, classes in shown.items()
    ]
    write_cam_store(tmp_path / "drawn.h5", CLASSES, {}, images, "float32")
    with CamStoreReader([tmp_path / "drawn.h5"]) as cams:
        yield cams


def level_plainly(lists):
    """Mean and deviation of all values, every image's with equal weight."""
    mean = sum(sum(values) / len(values) for values in lists) / len(lists)
    square = sum(sum(value**2 for value in values) / len(values) for values in lists) / len(lists)
    return mean + 0.65 * math.sqrt(square - mean**2)


def powers_plainly(cams):
    of_classes, of_images = {}, []
    for image_id in cams.image_ids:
        image = cams.read(image_id)
        if len(image.classes) == 0:
            continue
        of_images.append([max(column) for column in image.cam.reshape(len(image.classes), -1).T.tolist()])
        for index, values in zip(image.classes, image.cam, strict=True):
            of_classes.setdefault(CLASSES[index], []).append(values.ravel().tolist())
    return {name: math.log(level_plainly(of_images)) / math.log(level_plainly(v)) for name, v in of_classes.items()}


def index_of(cams):
    return DatasetIndex(CLASSES, {"image_id": cams.image_ids})


def test_powers_take_each_classes_level_to_the_common_one(drawn, tmp_path):
    powers = measure_classes(drawn, tmp_path / "powers.json")
    wanted = powers_plainly(drawn)
    assert powers == pytest.approx(wanted, abs=1e-4) and list(powers) == list(CLASSES)
    assert powers["dog"] < powers["cat"]
    written = json.loads((tmp_path / "powers.json").read_text())
    assert {name: one["images"] for name, one in written["classes"].items()} == {"cat": 2, "cow": 1, "dog": 3}
    for one in written["classes"].values():
        assert one["level"] ** one["power"] == pytest.approx(written["level"], abs=1e-3)


def test_maps_are_raised_to_their_classes_powers(drawn, tmp_path):
    powers = measure_classes(drawn, tmp_path / "powers.json")
    balance_classes(tmp_path / "powers.json", index_of(drawn), drawn, "float32", tmp_path / "cams/shards/000-of-001.h5")
    with CamStoreReader([tmp_path / "cams/shards/000-of-001.h5"]) as balanced:
        assert balanced.image_ids == drawn.image_ids
        for image_id in drawn.image_ids:
            before, after = drawn.read(image_id), balanced.read(image_id)
            assert after.classes.tolist() == before.classes.tolist()
            for index, old, new in zip(before.classes, before.cam, after.cam, strict=True):
                np.testing.assert_allclose(new, old.astype(float) ** powers[CLASSES[index]], rtol=1e-5)
            for index, old, new in zip(before.classes, before.high_res, after.high_res, strict=True):
                np.testing.assert_allclose(new, old.astype(float) ** powers[CLASSES[index]], rtol=1e-5)


def test_levels_are_alike_afterwards(drawn, tmp_path):
    def spread(file):
        levels = [one["level"] for one in json.loads(file.read_text())["classes"].values()]
        return max(levels) - min(levels)

    measure_classes(drawn, tmp_path / "powers.json")
    balance_classes(tmp_path / "powers.json", index_of(drawn), drawn, "float32", tmp_path / "cams/shards/000-of-001.h5")
    with CamStoreReader([tmp_path / "cams/shards/000-of-001.h5"]) as balanced:
        measure_classes(balanced, tmp_path / "again.json")
    assert spread(tmp_path / "again.json") < spread(tmp_path / "powers.json") / 2


def test_a_power_is_at_most_three(tmp_path):
    cell = np.zeros((1, 40, 40), np.float32)
    cell[0, 0, 0] = 1
    whole = np.full((1, 40, 40), 0.95, np.float32)
    images = [ImageCams(f"i{c}", np.array([c]), cam, None, 160, 160) for c, cam in ((0, cell), (1, whole))]
    write_cam_store(tmp_path / "drawn.h5", CLASSES, {}, images, "float32")
    with CamStoreReader([tmp_path / "drawn.h5"]) as cams:
        powers = measure_classes(cams, tmp_path / "powers.json")
    assert powers == {"cat": pytest.approx(1 / 3, abs=1e-4), "cow": 3}


def test_without_any_map_there_is_no_power(tmp_path):
    none = ImageCams("a", np.array([], np.int16), np.zeros((0, 5, 7), np.float32), None, 20, 28)
    write_cam_store(tmp_path / "drawn.h5", CLASSES, {}, [none], "float32")
    with CamStoreReader([tmp_path / "drawn.h5"]) as cams:
        assert measure_classes(cams, tmp_path / "powers.json") == {}
        balance_classes(tmp_path / "powers.json", index_of(cams), cams, "float16", tmp_path / "c/shards/000-of-001.h5")
    assert json.loads((tmp_path / "powers.json").read_text()) == {"classes": {}, "level": None}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"classes": {"cat": 1}}', '{"classes": {"cat": {"power": "x"}}}'])
def test_a_damaged_file_of_powers_is_named(drawn, tmp_path, content):
    (tmp_path / "powers.json").write_text(content)
    with pytest.raises(UserError, match=r"powers\.json: the powers cannot be read .*delete it, and run again"):
        balance_classes(tmp_path / "powers.json", index_of(drawn), drawn, "float16", tmp_path / "c/shards/0.h5")


def test_a_file_without_a_class_is_named(drawn, tmp_path):
    (tmp_path / "powers.json").write_text('{"classes": {"cat": {"power": 1}}}')
    with pytest.raises(UserError, match=r"powers\.json: has no power for the class 'dog'"):
        balance_classes(tmp_path / "powers.json", index_of(drawn), drawn, "float16", tmp_path / "c/shards/0.h5")


def test_one_images_maps_cannot_be_balanced():
    settings = MultiscaleCams(classifier="any", balance_classes=True)
    with pytest.raises(UserError, match="'balance_classes' needs the maps of all training images"):
        draw_cams(None, np.zeros((8, 8, 3), np.uint8), ["cat"], settings)
