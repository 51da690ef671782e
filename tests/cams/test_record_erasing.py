import numpy as np
import pytest
import torch

from wsss_core.cams.record_erasing import ROUNDS, erase_and_infer, record_erasing
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.files.climb_store import read_climbs
from wsss_core.jobs.run import Run

from .test_record_climb import CLASSES, index_of, picture, saved_classifier
from .tiny_network import TinyClassifier


class MeansOfMaps(TinyClassifier):
    """Its logits are the means of its maps."""

    def forward(self, images):
        return self.class_maps(images).mean(dim=(2, 3))


def plain_rounds(network, image, class_index, rounds):
    """In float64, one pixel after the other, as the paper has it: image times 1 less the map by its own maximum."""
    seen, found = normalise(image).double(), []
    for _ in range(rounds):
        maps = network.class_maps(seen[None])
        found.append((maps[0, class_index].clamp(min=0), torch.sigmoid(network(seen[None])[0, class_index])))
        large = torch.nn.functional.interpolate(maps[:, [class_index]], size=seen.shape[1:], mode="bilinear")[0, 0]
        large = large.clamp(min=0)
        left = seen.clone()
        for y in range(seen.shape[1]):
            for x in range(seen.shape[2]):
                left[:, y, x] = seen[:, y, x] * (1 - large[y, x] / (large.max() + 1e-5))
        seen = left
    return found


def test_each_round_sees_what_the_rounds_before_have_left():
    network, image = MeansOfMaps(), picture()
    with torch.inference_mode():
        steps, plain = erase_and_infer(network, image, 2), plain_rounds(network, image, 2, ROUNDS)
    assert len(steps) == ROUNDS
    for step, (class_map, probability) in zip(steps, plain, strict=True):
        np.testing.assert_allclose(step.map, class_map.numpy(), atol=1e-6)
        assert step.score == pytest.approx(float(probability), abs=1e-7)
    np.testing.assert_array_equal(steps[0].image, image)
    assert not np.array_equal(steps[1].image, image)


def test_a_record_is_read_back(tmp_path):
    index, weights = index_of(tmp_path, ["cat;owl", "", "pig"]), saved_classifier(tmp_path)
    for name in ("one.h5", "two.h5"):
        record_erasing(index, 2, weights, tmp_path / name, Run(device="cpu", provenance={"digest": "0"}))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    classes, (first, second) = read_climbs(tmp_path / "one.h5")
    assert classes == CLASSES and (first.image_id, second.image_id) == ("image/0", "image/2")
    assert first.maps.shape[:2] == (2, ROUNDS) and first.images.shape == (2, ROUNDS, 32, 32, 3)
    assert ((first.scores > 0) & (first.scores < 1)).all()


def test_a_classifier_of_other_classes_is_refused(tmp_path):
    index, weights = index_of(tmp_path, ["cat"]), saved_classifier(tmp_path, ("cow",))
    with pytest.raises(UserError, match="the classifier knows the classes cow"):
        record_erasing(index, 1, weights, tmp_path / "erasing.h5", Run(device="cpu"))
