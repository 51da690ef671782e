import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.oracles.dense_random_walk import dense_random_walk, dense_transitions
from wsss_core.refinement.affinity_pairs import neighbour_offsets
from wsss_core.refinement.random_walk import chebyshev_coefficients, random_walk


def make_case(seed, radius, height, width, classes=2):
    """Maps and affinities of any kind: all weak, all strong, or with cells cut off."""
    random = np.random.default_rng(seed)
    offsets = neighbour_offsets(radius)
    affinities = random.random((len(offsets), height, width)) ** random.choice([0.05, 1, 4])
    affinities[random.random(affinities.shape) < random.choice([0, 0.5])] = 0
    return random.random((classes, height, width)), affinities, offsets


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    radius=st.integers(2, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    beta=st.sampled_from([0.5, 1.0, 8.0, 10.0]),
    log2_steps=st.integers(0, 12),
)
@example(seed=1, radius=5, height=1, width=1, beta=8.0, log2_steps=8)
@example(seed=1, radius=5, height=1, width=30, beta=8.0, log2_steps=8)
@example(seed=1, radius=5, height=30, width=1, beta=8.0, log2_steps=8)
@example(seed=1, radius=5, height=14, width=15, beta=1.0, log2_steps=10)
def test_equals_the_dense_walk(seed, radius, height, width, beta, log2_steps):
    maps, affinities, offsets = make_case(seed, radius, height, width)
    expected = dense_random_walk(maps, affinities, offsets, beta, log2_steps)
    result = random_walk(maps, affinities, offsets, beta, log2_steps)
    assert result.dtype == np.float64 and result.shape == maps.shape
    assert np.abs(result - expected).max() <= 1e-7 * np.abs(expected).max()


@settings(max_examples=30, deadline=None)
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


def test_memory_is_linear_in_the_cells():
    maps, affinities, offsets = make_case(0, 5, 200, 200, classes=1)
    tracemalloc.start()
    random_walk(maps, affinities, offsets, 8, 6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # the dense matrix alone is 12,800 MB


@pytest.mark.parametrize("log2_steps", range(13))
def test_series_is_the_power(log2_steps):
    coefficients = chebyshev_coefficients(log2_steps)
    assert coefficients.min() >= 0 and coefficients.sum() == pytest.approx(1, abs=1e-14)
    values = np.linspace(-1, 1, 2001)
    series = np.polynomial.chebyshev.chebval(values, coefficients)
    assert np.abs(series - values ** (2**log2_steps)).max() <= 2.1e-8
    if log2_steps == 8:
        assert len(coefficients) - 1 <= 92


def test_wrong_input_is_told():
    maps, affinities, offsets = make_case(0, 3, 4, 4)
    with pytest.raises(ValueError, match="affinities are of shape"):
        random_walk(maps, affinities[:-1], offsets, 8, 4)
    for value in (np.nan, -0.1, 1.1):
        affinities[0, 1, 1] = value
        with pytest.raises(ValueError, match=r"not all in \[0, 1\]"):
            random_walk(maps, affinities, offsets, 8, 4)
