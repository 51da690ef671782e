import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.measuring import peak_memory
from tests.oracles.dense_random_walk import dense_random_walk, dense_transitions
from wsss_core.refinement.affinity_pairs import neighbour_offsets, pair_windows
from wsss_core.refinement.random_walk import (
    SIDE_BY_SIDE,
    chebyshev_coefficients,
    random_walk,
    walk_one_by_one,
    walk_side_by_side,
)
from wsss_core.refinement.walk_matrix import compressed_rows, multiplied_by_diagonals, walk_matrix

FEW_AND_MANY = [SIDE_BY_SIDE - 1, SIDE_BY_SIDE + 1]
"""Numbers of maps that are multiplied one by one and side by side."""


def make_case(seed, radius, height, width, classes=2):
    """Maps and affinities of any kind: all weak, all strong, or with cells cut off."""
    random = np.random.default_rng(seed)
    offsets = neighbour_offsets(radius)
    affinities = random.random((len(offsets), height, width)) ** random.choice([0.05, 1, 4])
    affinities[random.random(affinities.shape) < random.choice([0, 0.5])] = 0
    return random.random((classes, height, width)), affinities, offsets


@given(
    seed=st.integers(0, 10_000),
    radius=st.integers(2, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    beta=st.sampled_from([0.5, 1.0, 8.0, 10.0]),
    log2_steps=st.integers(0, 12),
    classes=st.sampled_from(FEW_AND_MANY),
)
@example(seed=1, radius=5, height=1, width=1, beta=8.0, log2_steps=8, classes=1)
@example(seed=1, radius=5, height=1, width=30, beta=8.0, log2_steps=8, classes=5)
@example(seed=1, radius=5, height=30, width=1, beta=8.0, log2_steps=8, classes=5)
@example(seed=1, radius=5, height=14, width=15, beta=1.0, log2_steps=10, classes=1)
def test_equals_the_dense_walk(seed, radius, height, width, beta, log2_steps, classes):
    maps, affinities, offsets = make_case(seed, radius, height, width, classes)
    expected = dense_random_walk(maps, affinities, offsets, beta, log2_steps)
    result = random_walk(maps, affinities, offsets, beta, log2_steps)
    assert result.dtype == np.float64 and result.shape == maps.shape
    assert np.abs(result - expected).max() <= 1e-7 * np.abs(expected).max()


@given(
    seed=st.integers(0, 10_000),
    radius=st.integers(2, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    log2_steps=st.integers(0, 9),
    classes=st.integers(0, 6),
)
def test_maps_side_by_side_walk_as_one_by_one(seed, radius, height, width, log2_steps, classes):
    maps, affinities, offsets = make_case(seed, radius, height, width, classes)
    maps = maps.reshape(classes, height * width)
    matrix = walk_matrix(torch.from_numpy(affinities), offsets, 3)
    together = walk_side_by_side(torch.from_numpy(maps), matrix, log2_steps)
    assert together.dtype == torch.float64 and together.is_contiguous()
    np.testing.assert_allclose(together.numpy(), walk_one_by_one(maps, matrix, log2_steps), rtol=0, atol=1e-13)


@given(radius=st.integers(2, 6), height=st.integers(1, 9), width=st.integers(1, 9))
def test_compressed_rows_are_as_torch_wants_them(radius, height, width):
    _, affinities, offsets = make_case(0, radius, height, width)
    rows = compressed_rows(walk_matrix(torch.from_numpy(affinities), offsets, 3))
    with torch.sparse.check_sparse_tensor_invariants():
        torch.sparse_csr_tensor(rows.crow_indices(), rows.col_indices(), rows.values(), rows.shape)
    dense = rows.to_dense()
    torch.testing.assert_close(dense, dense.T, rtol=0, atol=1e-15)


@given(radius=st.integers(2, 6), height=st.integers(1, 9), width=st.integers(1, 9), classes=st.integers(0, 4))
def test_diagonals_multiply_as_the_matrix_does(radius, height, width, classes):
    maps, affinities, offsets = make_case(0, radius, height, width, classes)
    matrix = walk_matrix(torch.from_numpy(affinities), offsets, 3)
    vectors = torch.from_numpy(maps).reshape(classes, height * width).T
    expected = compressed_rows(matrix).to_dense() @ vectors
    torch.testing.assert_close(multiplied_by_diagonals(matrix, vectors), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("classes", FEW_AND_MANY)
def test_affinities_may_be_a_tensor(classes):
    maps, affinities, offsets = make_case(3, 4, 6, 7, classes)
    tensor = torch.from_numpy(affinities).requires_grad_()
    expected = random_walk(maps, affinities, offsets, 8, 6)
    np.testing.assert_array_equal(random_walk(maps, tensor, offsets, 8, 6, torch.device("cpu")), expected)


def test_many_maps_walk_without_mkl(monkeypatch):
    maps, affinities, offsets = make_case(3, 4, 6, 7, FEW_AND_MANY[1])
    expected = random_walk(maps, affinities, offsets, 8, 6)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    monkeypatch.setattr(torch, "sparse_csr_tensor", None)  # slow without MKL, if it is there at all
    np.testing.assert_allclose(random_walk(maps, affinities, offsets, 8, 6), expected, rtol=0, atol=1e-13)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("classes", FEW_AND_MANY)
def test_walk_on_a_gpu(classes):
    maps, affinities, offsets = make_case(3, 5, 40, 30, classes)
    expected = random_walk(maps, affinities, offsets, 8, 8)
    gpu = torch.device("cuda")
    for given_affinities in (affinities, torch.from_numpy(affinities).to(gpu)):
        result = random_walk(maps, given_affinities, offsets, 8, 8, gpu)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@given(seed=st.integers(0, 10_000), height=st.integers(1, 9), width=st.integers(1, 9), log2_steps=st.integers(0, 9))
def test_means_and_mass(seed, height, width, log2_steps):
    maps, affinities, offsets = make_case(seed, 4, height, width)
    maps[1] = 0.7
    walked = random_walk(maps, affinities, offsets, 2.0, log2_steps)
    _, degrees = dense_transitions(affinities, offsets, 2.0)
    np.testing.assert_allclose(walked[1], 0.7, rtol=1e-12)  # a mean of equal values
    assert walked[0].min() >= maps[0].min() and walked[0].max() <= maps[0].max()
    mass, before = walked[0].reshape(-1) @ degrees, maps[0].reshape(-1) @ degrees
    assert mass == pytest.approx(before, rel=1e-7)


def test_no_affinity_no_spreading():
    maps, affinities, offsets = make_case(0, 5, 6, 7)
    np.testing.assert_allclose(random_walk(maps, 0 * affinities, offsets, 8, 6), maps, rtol=1e-7)


def test_maps_spread_up_to_a_border_of_affinities():
    offsets = neighbour_offsets(2)
    affinities = np.ones((len(offsets), 6, 8))
    for p, (_, right) in enumerate(offsets):  # nothing passes between columns 3 and 4
        for x in range(8):
            if (x < 4) != (x + right < 4):
                affinities[p, :, x] = 0
    maps = np.zeros((1, 6, 8))
    maps[0, 2, 1] = 1
    walked = random_walk(maps, affinities, offsets, 1, 10)[0]
    assert not walked[:, 4:].any()
    np.testing.assert_allclose(walked[:, :4], walked[0, 0], rtol=1e-3)


def test_a_larger_beta_spreads_less():
    maps, _, offsets = make_case(2, 3, 8, 8)
    affinities = np.full((len(offsets), 8, 8), 0.7)
    gentle, strict = (random_walk(maps, affinities, offsets, beta, 3) for beta in (1, 12))
    assert gentle.std() < strict.std() < maps.std()


def test_no_maps():
    maps, affinities, offsets = make_case(0, 3, 4, 4, classes=0)
    assert random_walk(maps, affinities, offsets, 8, 4).shape == (0, 4, 4)


@pytest.mark.parametrize("classes", FEW_AND_MANY)
def test_walk_at_stride_4_of_2000_pixels(classes):
    """The dense matrix of these 500 x 500 cells would take 500 GB."""
    size, beta, log2_steps = 500, 4.0, 5
    random = np.random.default_rng(0)
    offsets = neighbour_offsets(5)
    affinities = random.random((len(offsets), size, size), dtype=np.float32)
    inside = np.zeros((size, size), dtype=bool)
    block = np.s_[..., 240:257, 300:321]
    inside[block] = True
    degrees = np.ones((size, size))
    for affinity, offset in zip(affinities, offsets, strict=True):
        first, second = pair_windows(offset, size, size)
        affinity[first][inside[first] != inside[second]] = 0  # nothing passes the block's border
        strengths = affinity[first].astype(np.float64) ** beta
        degrees[first] += strengths
        degrees[second] += strengths
    maps = random.random((classes, size, size))
    maps[1] = 0.7
    results = []
    peak = peak_memory(lambda: results.append(random_walk(maps, affinities, offsets, beta, log2_steps)))
    walked = results[0]
    expected = dense_random_walk(maps[block], affinities[block], offsets, beta, log2_steps)
    np.testing.assert_allclose(walked[block], expected, rtol=1e-7)
    np.testing.assert_allclose(walked[1], 0.7, rtol=1e-12)
    np.testing.assert_allclose((walked * degrees).sum(axis=(1, 2)), (maps * degrees).sum(axis=(1, 2)), rtol=1e-7)
    assert walked[0].std() < 0.5 * maps[0].std()
    if peak is None:
        pytest.skip("the peak of memory is only known on Linux")
    entries = (2 * len(offsets) + 1) * size * size
    assert peak < 64 * entries  # 1.1 GB


@pytest.mark.parametrize("log2_steps", range(13))
def test_series_is_the_power(log2_steps):
    coefficients = chebyshev_coefficients(log2_steps)
    assert coefficients.min() >= 0 and coefficients.sum() == pytest.approx(1, abs=1e-14)
    values = np.linspace(-1, 1, 2001)
    series = np.polynomial.chebyshev.chebval(values, coefficients)
    assert np.abs(series - values ** (2**log2_steps)).max() <= 2.1e-8
    if log2_steps == 8:
        assert len(coefficients) - 1 <= 92


def test_wrong_input_is_reported():
    maps, affinities, offsets = make_case(0, 3, 4, 4)
    with pytest.raises(ValueError, match="affinities have the shape"):
        random_walk(maps, affinities[:-1], offsets, 8, 4)
    affinities[1, :, 3] = np.nan  # of pairs that leave the grid
    assert offsets[1] == (0, 2) and np.isfinite(random_walk(maps, affinities, offsets, 8, 4)).all()
    for value in (np.nan, -0.1, 1.1):
        affinities[0, 1, 1] = value
        with pytest.raises(ValueError, match=r"not all in \[0, 1\]"):
            random_walk(maps, affinities, offsets, 8, 4)
