import numpy as np
import pytest
import torch

from benchmarks import random_walk as benchmark
from benchmarks.random_walk import dense_run, exact_walk, main, make_case, sparse_walk, walk_by_gathering
from tests.benchmarks.figures import figures
from tests.oracles.dense_random_walk import dense_random_walk
from wsss_core.refinement.random_walk import walk_side_by_side
from wsss_core.refinement.walk_matrix import walk_matrix

CPU = torch.device("cpu")


@pytest.fixture
def case():
    return make_case(11, 9, 2)


def test_prints_machine_sizes_and_figures(capsys):
    threads = torch.get_num_threads()
    main(["--sizes", "6x7", "9x8", "--classes", "2", "--threads", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and "1 of" in lines[0]
    assert any("9x8: 72 cells, 2 maps" in line for line in lines)
    smaller = [line for line in lines if line.startswith("6x7: ratio=")]
    for line in (smaller[0].removeprefix("6x7: "), lines[-1]):
        ratio, deviation = figures(line)
        assert ratio > 0 and 0 < deviation < 1e-6
    assert torch.get_num_threads() == threads


def test_exact_walks_are_those_of_the_oracle(case, monkeypatch):
    expected = dense_random_walk(case.maps, case.affinities.astype(np.float64), case.offsets, 10, 8)
    np.testing.assert_allclose(exact_walk(case)[0], expected, rtol=1e-12)
    monkeypatch.setattr(benchmark, "DENSE_CELLS", 0)
    products, how = exact_walk(case)
    assert "256 sparse products" in how
    np.testing.assert_allclose(products, expected, rtol=1e-12)
    np.testing.assert_allclose(sparse_walk(case, CPU), expected, rtol=1e-6)


def test_dense_walk_of_the_authors(case, monkeypatch):
    walked, _, squarings = dense_run(case, CPU)
    assert squarings == 8
    np.testing.assert_allclose(walked, exact_walk(case)[0], rtol=1e-4)
    monkeypatch.setattr(benchmark, "DENSE_SECONDS", 0)
    walked, duration, squarings = dense_run(case, CPU)
    assert walked is None and duration > 0 and squarings == 2


def test_gathering_neighbours_gives_the_same_walk(case):
    matrix = walk_matrix(torch.from_numpy(case.affinities), case.offsets, 10)
    maps = torch.from_numpy(case.maps).reshape(2, -1)
    torch.testing.assert_close(walk_by_gathering(maps, matrix, 8), walk_side_by_side(maps, matrix, 8))


@pytest.mark.parametrize("size", ["94", "0x5", "ax5", "3x-4"])
def test_sizes_are_checked(size, capsys):
    with pytest.raises(SystemExit):
        main(["--sizes", size])
    assert "a size looks like 94x125" in capsys.readouterr().err
