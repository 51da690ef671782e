import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import boundary_paths as oracle
from tests.oracles.dense_random_walk import dense_random_walk
from wsss_core.refinement.affinity_pairs import inner_window, neighbour_offsets, pair_windows, shift_window
from wsss_core.refinement.boundary_paths import boundary_affinities, boundary_paths
from wsss_core.refinement.boundary_walk import walk_within_boundaries
from wsss_core.refinement.irn_losses import irn_losses
from wsss_core.refinement.pair_labels import pair_labels


@pytest.mark.parametrize(("radius", "number"), [(1, 0), (2, 4), (5, 34), (10, 152)])
def test_paths(radius, number):
    paths = boundary_paths(radius)
    assert len(paths) == number
    assert {path[0] for path in paths} == set(neighbour_offsets(radius))
    assert [len(path) for path in paths] == sorted(len(path) for path in paths)
    for path in paths:
        assert path[-1] == (0, 0)
        assert set(path) == set(oracle.cells_between((0, 0), path[0]))


@given(radius=st.integers(1, 6), height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_pair_in_the_grid_once_with_its_affinity(radius, height, width, seed):
    boundary = np.random.default_rng(seed).random((height, width))
    paths = boundary_paths(radius)
    affinities = boundary_affinities(torch.from_numpy(boundary), paths).numpy()
    found = {}
    for p, path in enumerate(paths):
        inside = np.zeros((height, width), bool)
        inside[pair_windows(path[0], height, width)[0]] = True
        assert not affinities[p][~inside].any()
        for y, x in np.argwhere(inside).tolist():
            found[frozenset([(y, x), (y + path[0][0], x + path[0][1])])] = affinities[p, y, x]
    assert found == oracle.affinities(boundary, radius)


def test_batches_are_images_side_by_side():
    boundaries, paths = torch.rand(2, 6, 7), boundary_paths(3)
    both = boundary_affinities(boundaries, paths)
    assert both.shape == (2, len(paths), 6, 7)
    torch.testing.assert_close(both[1], boundary_affinities(boundaries[1], paths), rtol=0, atol=0)


def test_gradients():
    boundaries = torch.rand(2, 5, 6, dtype=torch.float64, requires_grad=True)
    paths = boundary_paths(3)
    assert torch.autograd.gradcheck(lambda b: boundary_affinities(b, paths), (boundaries,))


def test_of_equal_values_the_farthest_gets_the_gradient():
    boundaries = torch.full((1, 3), 0.5, requires_grad=True)
    boundary_affinities(boundaries, [((0, 2), (0, 1), (0, 0))]).sum().backward()
    assert boundaries.grad.tolist() == [[0, 0, -1]]


def test_boundaries_of_other_shapes_are_reported():
    with pytest.raises(ValueError, match="boundaries are"):
        boundary_affinities(torch.zeros(4), [])


@given(radius=st.integers(1, 6), height=st.integers(1, 12), width=st.integers(1, 14))
def test_inner_window_is_where_all_pairs_exist(radius, height, width):
    cells = np.arange(height * width).reshape(height, width)
    everywhere = set(cells.ravel().tolist())
    for offset in neighbour_offsets(radius):
        everywhere &= set(cells[pair_windows(offset, height, width)[0]].ravel().tolist())
    window = inner_window(radius, height, width)
    assert set(cells[window].ravel().tolist()) == everywhere
    for offset in neighbour_offsets(radius):
        assert cells[shift_window(window, offset)].shape == cells[window].shape


@given(seed=st.integers(0, 999), radius=st.integers(2, 4), height=st.integers(1, 9), width=st.integers(1, 11))
def test_losses_are_those_of_loops_over_pairs(seed, radius, height, width):
    random = np.random.default_rng(seed)
    logits, moves = random.normal(size=(2, height, width)), random.normal(size=(2, 2, height, width))
    labels = random.choice([0, 0, 1, 2, 255], (2, height, width))
    paths = boundary_paths(radius)
    pairs = pair_labels(torch.from_numpy(labels), [path[0] for path in paths], radius)
    found = irn_losses(torch.from_numpy(logits), torch.from_numpy(moves), pairs, paths, radius)
    expected = oracle.losses(1 / (1 + np.exp(-logits)), moves, labels, radius)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-9)


def test_losses_without_displacements():
    logits, labels = torch.randn(2, 9, 11), torch.randint(0, 3, (2, 9, 11))
    paths = boundary_paths(3)
    pairs = pair_labels(labels, [path[0] for path in paths], 3)
    found = irn_losses(logits, None, pairs, paths, 3)
    whole = irn_losses(logits, torch.randn(2, 2, 9, 11), pairs, paths, 3)
    assert list(found) == ["loss", "positive", "negative"]
    assert (found["positive"], found["negative"]) == (whole["positive"], whole["negative"])
    torch.testing.assert_close(found["loss"], (found["positive"] + found["negative"]) / 2)


def test_labels_from_the_limit_up_do_not_count():
    labels, offsets = torch.tensor([[[0, 3, 3, 0], [0, 3, 3, 0]]]), neighbour_offsets(2)
    assert pair_labels(labels, offsets, 2).foreground.any()
    few = pair_labels(labels, offsets, 2, label_limit=3)
    assert not few.foreground.any() and not few.negative.any()


@pytest.mark.parametrize("size", [(7, 9), (2, 11), (1, 1)])
def test_walk(size):
    random = np.random.default_rng(0)
    maps, boundary = random.random((2, *size)), random.random(size)
    paths = boundary_paths(4)
    affinities = boundary_affinities(torch.from_numpy(boundary), paths).numpy()
    expected = dense_random_walk(maps * (1 - boundary), affinities, [path[0] for path in paths], 10, 6)
    walked = walk_within_boundaries(maps, boundary, 4, 10, 6)
    assert walked.dtype == np.float64
    np.testing.assert_allclose(walked, expected, rtol=0, atol=1e-7)


def test_maps_do_not_cross_a_boundary():
    maps, boundary = np.zeros((1, 8, 9)), np.zeros((8, 9))
    maps[0, 3, 2], boundary[:, 4] = 1, 1
    walked = walk_within_boundaries(maps, boundary, 5, 10, 8)[0]
    assert not walked[:, 4:].any() and walked[:, :4].min() > 0


def test_boundaries_of_another_size_than_the_maps_are_reported():
    with pytest.raises(ValueError, match="boundaries are of shape"):
        walk_within_boundaries(np.zeros((1, 4, 4)), np.zeros((4, 5)), 5, 10, 8)
