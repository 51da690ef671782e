import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.plain_scores import plain_confusion, plain_seed
from wsss_core.evaluation.thresholds import THRESHOLDS, ThresholdCounts


@given(
    present=st.lists(st.sets(st.integers(0, 3)).map(sorted), min_size=1, max_size=3),
    seed=st.integers(0, 10_000),
    on_thresholds=st.booleans(),
)
def test_one_pass_counts_what_100_passes_count(present, seed, on_thresholds):
    random = np.random.default_rng(seed)
    counts, expected = ThresholdCounts(4), np.zeros((100, 5, 5), dtype=np.int64)
    for classes in present:
        shape = (4, 5)
        cam = random.random((len(classes), *shape), dtype=np.float32)
        if on_thresholds:  # ties with thresholds and between classes
            cam = (np.round(cam * 100) / 100).astype(np.float32)
        truth = random.choice(np.array([0, 1, 2, 3, 4, 255], np.uint8), shape)
        counts.add(cam, np.array(classes, np.int16), truth)
        for number, threshold in enumerate(THRESHOLDS):
            prediction = plain_seed(cam, np.array(classes, np.int16), float(threshold))
            expected[number] += plain_confusion(prediction, truth, 4)[:, :5]
    np.testing.assert_array_equal(counts.matrices(), expected)


def test_thresholds_are_those_of_the_configuration():
    assert len(THRESHOLDS) == 100 and THRESHOLDS[15] == 0.15
