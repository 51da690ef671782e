from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss_core.refinement.reduced_labels import majority_labels, middle_labels


def test_the_middle_of_cells():
    labels = torch.arange(16)[None] + 100 * torch.arange(10)[:, None]
    assert middle_labels(labels, 4)[0].tolist() == [202, 206, 210, 214]
    assert middle_labels(labels, 4)[:, 0].tolist() == [202, 602, 902]
    assert middle_labels(labels[:1, :1], 8).tolist() == [[0]]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_the_middle_is_pillows_nearest(rows, columns, seed):
    labels = np.random.default_rng(seed).integers(0, 256, (4 * rows, 4 * columns), np.uint8)
    expected = np.asarray(Image.fromarray(labels).resize((columns, rows), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(middle_labels(torch.from_numpy(labels).long(), 4), expected)


def plain_majority(labels: np.ndarray, stride: int) -> np.ndarray:
    rows, columns = (-(-side // stride) for side in labels.shape)
    result = np.full((rows, columns), 255)
    for y in range(rows):
        for x in range(columns):
            cell = labels[y * stride : (y + 1) * stride, x * stride : (x + 1) * stride]
            label, count = Counter(cell.ravel().tolist()).most_common(1)[0]
            if count > stride * stride / 2:
                result[y, x] = label
    return result


@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    stride=st.integers(1, 5),
    seed=st.integers(0, 999),
    values=st.sampled_from([[0, 1], [0, 255], [0, 0, 0, 1, 255], [3, 254], [0, 1, 2, 3, 255]]),
)
def test_majorities_are_counted(height, width, stride, seed, values):
    labels = np.random.default_rng(seed).choice(values, (height, width))
    found = majority_labels(torch.from_numpy(labels), stride)
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found, plain_majority(labels, stride))


def test_half_is_no_majority_and_what_lies_beyond_the_map_has_no_label():
    labels = torch.tensor([[0, 0, 1, 1, 2], [1, 1, 1, 0, 2]])
    assert majority_labels(labels, 2).tolist() == [[255, 1, 255]]
    assert majority_labels(torch.full((3, 3), 7), 2).tolist() == [[7, 255], [255, 255]]
