import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import plain_averaging as plain
from wsss_core.config.sam_masks import SamMasks
from wsss_core.datasets.sam_masks import segment_of
from wsss_core.refinement.joined_masks import join_masks


@given(
    seed=st.integers(0, 2**32 - 1),
    masks=st.integers(0, 12),
    classes=st.integers(0, 4),
    wide=st.booleans(),
    settings=st.builds(
        SamMasks,
        folder=st.just("masks"),
        share_of_mask=st.sampled_from([0, 0.3, 0.5]),
        share_of_class=st.sampled_from([None, 0.3, 0.85, 1]),
        keep_uncovered=st.booleans(),
        keep_ignored=st.booleans(),
    ),
)
def test_equals_the_plain_form_in_any_order(seed, masks, classes, wide, settings):
    random = np.random.default_rng(seed)
    dtype = np.uint16 if wide else np.uint8
    values = np.array([0, *(random.choice(200, classes, replace=False) + 1), np.iinfo(dtype).max], dtype)
    labels = random.choice(values, (9, 7))
    shapes = np.zeros((masks, 9, 7), bool)
    for mask in shapes:  # boxes, some of them empty, with holes
        top, bottom, left, right = random.integers(0, [10, 10, 8, 8])
        mask[top:bottom, left:right] = random.random(mask[top:bottom, left:right].shape) < 0.8
    expected = plain.joined(labels, shapes, settings)
    for order in (shapes, shapes[::-1]):
        found = join_masks(labels, [segment_of(mask) for mask in order], settings)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("keep", "expected"), [(False, 0), (True, 255)])
def test_pixels_without_label_are_background_unless_kept(keep, expected):
    labels = np.array([[255, 3, 3]], np.uint8)
    found = join_masks(labels, [], SamMasks(folder="masks", keep_ignored=keep))
    assert found.tolist() == [[expected, 3, 3]]
