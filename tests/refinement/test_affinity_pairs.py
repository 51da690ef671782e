import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import affinity_pairs as oracle
from wsss_core.refinement.affinity_pairs import (
    inner_window,
    neighbour_offsets,
    pair_affinities,
    pair_windows,
    radius_in_small_grid,
)
from wsss_core.refinement.affinitynet import affinity_losses
from wsss_core.refinement.pair_labels import pair_labels


@pytest.mark.parametrize(("radius", "number"), [(1, 0), (2, 4), (5, 34), (10, 152)])
def test_number_of_offsets(radius, number):
    offsets = neighbour_offsets(radius)
    assert len(offsets) == len(set(offsets)) == number
    assert all(math.hypot(*offset) < radius for offset in offsets)


def test_offsets_order():
    assert neighbour_offsets(3)[:5] == [(0, 1), (0, 2), (1, -2), (1, -1), (1, 0)]


def test_no_radius_below_one():
    with pytest.raises(ValueError, match="1 cell or more"):
        neighbour_offsets(0)


@given(radius=st.integers(1, 6), height=st.integers(1, 8), width=st.integers(1, 8), seed=st.integers(0, 99))
def test_every_pair_in_the_grid_once_with_its_affinity(radius, height, width, seed):
    features = np.random.default_rng(seed).normal(size=(3, height, width))
    offsets = neighbour_offsets(radius)
    affinities = pair_affinities(torch.from_numpy(features), offsets).numpy()
    found = {}
    for p, (down, right) in enumerate(offsets):
        first, second = pair_windows((down, right), height, width)
        inside = np.zeros((height, width), bool)
        inside[first] = True
        assert not affinities[p][~inside].any()
        assert np.zeros((height, width))[second].shape == inside[first].shape
        for y, x in np.argwhere(inside).tolist():
            found[frozenset([(y, x), (y + down, x + right)])] = affinities[p, y, x]
    expected = {
        frozenset(pair): oracle.affinity(features, *pair) for pair in oracle.pairs_within(radius, height, width)
    }
    assert found.keys() == expected.keys()
    for pair, value in expected.items():
        assert found[pair] == pytest.approx(value, rel=1e-12)


def test_batches_are_images_side_by_side():
    features, offsets = torch.randn(2, 5, 6, 7), neighbour_offsets(3)
    both = pair_affinities(features, offsets)
    assert both.shape == (2, len(offsets), 6, 7)
    torch.testing.assert_close(both[1], pair_affinities(features[1], offsets))


def test_gradients():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    offsets = neighbour_offsets(3)
    assert torch.autograd.gradcheck(lambda f: pair_affinities(f, offsets), (features,))


def test_features_of_other_shapes_are_reported():
    with pytest.raises(ValueError, match="features are"):
        pair_affinities(torch.zeros(3, 4), [(0, 1)])


@given(
    seed=st.integers(0, 999),
    radius=st.integers(2, 5),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    values=st.sampled_from([[0, 1, 2, 255], [0, 255], [3], [255], [0, 1], [254, 7]]),
    border_pairs=st.booleans(),
)
def test_losses_are_those_of_loops_over_pairs(seed, radius, height, width, values, border_pairs):
    random = np.random.default_rng(seed)
    features = random.normal(size=(2, 4, height, width))
    labels = random.choice(values, (2, height, width))
    offsets = neighbour_offsets(radius)
    affinities = pair_affinities(torch.from_numpy(features), offsets)
    if not border_pairs:
        affinities = affinities[(..., *inner_window(radius, height, width))]
    pairs = pair_labels(torch.from_numpy(labels), offsets, radius, border_pairs=border_pairs)
    assert all(kind.shape == affinities.shape for kind in pairs)
    result = affinity_losses(affinities, pairs)
    expected = oracle.losses(features, labels, radius, border_pairs)
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        assert float(result[name]) == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("size", "radius"),
    [
        *(((56, 70), 5), ((11, 40), 5), ((10, 15), 5), ((15, 10), 5), ((9, 9), 5), ((5, 9), 5)),  # as the authors
        *(((4, 9), 4), ((5, 8), 4), ((40, 7), 4), ((40, 6), 3), ((3, 90), 3), ((90, 3), 2), ((1, 1), 1)),
    ],
)
def test_radius_is_the_authors_wherever_their_code_runs(size, radius):
    assert radius_in_small_grid(5, *size) == radius


@given(radius=st.integers(1, 9), height=st.integers(1, 25), width=st.integers(1, 25))
def test_radius_in_small_grids_is_the_largest_with_inner_cells(radius, height, width):
    def has_inner_cells(radius):
        return all(side.stop > side.start for side in inner_window(radius, height, width))

    found = radius_in_small_grid(radius, height, width)
    assert found == max(filter(has_inner_cells, range(1, radius + 1)))
