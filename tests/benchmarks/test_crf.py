import pytest

from benchmarks.crf import main
from tests.benchmarks.figures import figures

pytest.importorskip("pydensecrf")


def test_prints_machine_sizes_and_figures(capsys):
    main(["--images", "3", "--height", "20", "--width", "30", "--threads", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert lines[1].startswith("3 images of 20x30, 3 labels")
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and deviation == 0
