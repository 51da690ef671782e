"""The benchmark of indexing, and its limits: a large data set is indexed in a minute and in little memory."""

import pytest

from benchmarks.index import LAYOUTS, main, measure

GIBIBYTE = 2**30


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_benchmark_prints_its_figures(capsys, layout):
    main(["--images", "30", "--layouts", layout])
    machine, figures = capsys.readouterr().out.splitlines()
    assert machine.startswith("machine: ")
    assert figures.startswith(f"{layout}: 30 images, ") and " s, memory " in figures


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_100000_images_in_under_a_minute_and_under_2_gibibytes(layout):
    duration, memory, _ = measure(layout, 100_000)
    assert duration < 60
    assert memory is None or memory < 2 * GIBIBYTE


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_is_linear(layout):
    small, large = (measure(layout, images)[1] for images in (10_000, 40_000))
    if small is None or large is None:
        pytest.skip("the kernel does not count")
    assert large < 5 * small + 64 * 2**20
