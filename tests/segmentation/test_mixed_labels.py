from collections import Counter

import numpy as np
import pytest
import torch

from tests.refinement.tiny_data import SIZES, true_labels, write_images
from wsss_core.config.training import Augmentation
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.segmentation.mixed_labels import LabelMapSamples, order_with_share
from wsss_core.training.batches import EpochBatches, SeededSamples

HAS_MASK = [number % 10 == 3 for number in range(50)]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_every_stretch_has_the_share(share):
    order = order_with_share(HAS_MASK, share)(torch.Generator().manual_seed(0))
    masked = [HAS_MASK[sample % 50] for sample in order]
    assert len(order) == 50
    for length in (2, 8, 10, 50):
        for start in range(50 - length + 1):
            assert abs(sum(masked[start : start + length]) - share * length) < 1 + 1e-6


def test_samples_of_a_kind_come_equally_often_and_repetitions_are_numbered():
    order = order_with_share(HAS_MASK, 0.5)(torch.Generator().manual_seed(0))
    assert len(set(order)) == 50  # no sample has the same random changes twice
    times = Counter(sample % 50 for sample in order)
    assert {times[sample] for sample in range(50) if HAS_MASK[sample]} == {5}
    assert {times[sample] for sample in range(50) if not HAS_MASK[sample]} == {0, 1}
    again, other = (order_with_share(HAS_MASK, 0.5)(torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert order == again != other


def test_a_share_needs_both_kinds():
    with pytest.raises(UserError, match=r"'masks_of.share' .* 0 of 4 have one"):
        order_with_share([False] * 4, 0.5)
    with pytest.raises(UserError, match="4 of 4 have one"):
        order_with_share([True] * 4, 0.5)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.97])
def test_over_the_epochs_each_place_has_its_share(share):
    """Also a share of less than one image of a step, of which an epoch's last images have no place."""
    batches = EpochBatches(50, lambda epoch: 8, 0, order=order_with_share(HAS_MASK, share, used=48))
    counts = np.zeros((6, 8))
    for epoch in range(2000):
        batches.begin(epoch)
        counts += [[HAS_MASK[sample % 50] for _, sample in step] for step in batches]
    spread = (share * (1 - share) / 2000) ** 0.5
    assert abs(counts / 2000 - share).max() < 5 * spread
    assert counts.sum() / 2000 / 48 == pytest.approx(share, abs=spread / 2)


def test_a_share_without_a_place_is_refused_and_the_least_one_named():
    with pytest.raises(UserError, match=r"'masks_of.share' is 0.02, .* one of the 48 images .* 0.021 or more"):
        order_with_share(HAS_MASK, 0.02, used=48)
    order_with_share(HAS_MASK, 0.021, used=48)
    for used in range(2, 51):
        order_with_share(HAS_MASK, 1 / used, used)


def test_processes_share_the_masks_of_a_step():
    parts = []
    for process in (0, 1):
        batches = EpochBatches(50, lambda epoch: 8, 0, process, 2, order_with_share(HAS_MASK, 0.5))
        parts.append(list(batches))
    for step in zip(*parts, strict=True):
        assert [sum(HAS_MASK[sample % 50] for _, sample in part) for part in step] == [2, 2]


def test_a_repetition_is_the_same_image_changed_otherwise():
    class Random:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return index, torch.rand(())

    samples = SeededSamples(Random(), 0)
    (first, one), (second, two) = samples[0, 3], samples[0, 7]
    assert first == second == 3 and one != two and samples[0, 7] == (3, two)


@pytest.fixture
def files(tmp_path):
    index = write_images(tmp_path / "images")
    pseudo, masks = ({name: tmp_path / kind / f"{name}.png" for name in SIZES} for kind in ("pseudo", "masks"))
    for name in SIZES:
        write_label_map(pseudo[name], np.full(SIZES[name], 3, np.uint8))
        write_label_map(masks[name], true_labels(name))
    return index, pseudo, masks


def test_masks_go_before_pseudo_labels(files):
    index, pseudo, masks = files
    samples = LabelMapSamples(index, pseudo, Augmentation(crop=64), {"two": masks["two"]})
    assert samples.has_mask == [False, True, False]
    values = [set(samples[number][1].unique().tolist()) - {255} for number in range(3)]
    assert values == [{3}, {0, 1, 3}, {3}]
    assert [samples[number][2] for number in range(3)] == samples.has_mask


def test_images_without_label_are_taken_on_demand(files):
    index, _, masks = files
    listed = {"two": masks["two"]}
    assert len(LabelMapSamples(index, {}, Augmentation(crop=64), listed)) == 1
    samples = LabelMapSamples(index, {}, Augmentation(crop=64), listed, unlabelled=True)
    assert len(samples) == 3 and samples[0][1].unique().tolist() == [255]
    with pytest.raises(UserError, match="none of the 3 training images has a label map or mask"):
        LabelMapSamples(index, {}, Augmentation(crop=64), unlabelled=True)
