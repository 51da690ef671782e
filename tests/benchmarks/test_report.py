"""The benchmark of the report, and its limits: the page of a run over 500 images opens in under 2 s."""

import pytest

from benchmarks.report import chromium, main, measure

MEBIBYTE = 2**20


def test_the_benchmark_prints_its_figures(capsys):
    main(["--images", "8", "--size", "32", "--experiments", "2", "--repeats", "1"])
    machine, options, figures, opened = capsys.readouterr().out.splitlines()
    assert machine.startswith("machine: ") and '"images": 8' in options
    assert figures.startswith("1 files, the largest ") and " MiB, made in " in figures
    assert opened.startswith("the largest opens in " if chromium() else "there is no Chromium")


@pytest.mark.slow
@pytest.mark.parametrize("shown", [80, 500])
def test_a_run_over_500_images_opens_in_under_2_seconds(shown):
    figures = measure(500, 256, 6, shown, 3)
    assert figures.largest < 40 * MEBIBYTE
    assert all(duration < 2 for duration in figures.opened)
