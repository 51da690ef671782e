import numpy as np
import pytest

from benchmarks import crf as benchmark
from benchmarks.crf import main
from benchmarks.measuring import processor_shares
from tests.benchmarks.figures import figures

pytest.importorskip("pydensecrf")
SMALL = ["--images", "3", "--height", "20", "--width", "30", "--threads", "2", "--rounds", "1"]


def test_prints_machine_sizes_and_figures(capsys):
    main(SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert lines[1].startswith("3 images of 20x30, 3 labels")
    for start in ("one process: ", "2 processes: ", "start of 2 processes: "):
        assert any(line.startswith(start) and "cores busy: own " in line for line in lines), start
    _, deviation = figures(lines[-1])  # of images as small as that the start is all, and the ratio chance
    assert deviation == 0


def test_differing_pixels_are_counted(capsys, monkeypatch):
    masks = iter(np.full((20, 30), value) for value in (0, 1, 0, 0, 2, 2))
    monkeypatch.setattr(benchmark, "read_mask", lambda path: next(masks))
    main([*SMALL[:-4], "--threads", "1", "--rounds", "1"])
    assert figures(capsys.readouterr().out.splitlines()[-1])[1] == pytest.approx(1 / 3, rel=1e-2)


def test_who_uses_the_cores():
    result, wall, share = processor_shares(lambda: sum(range(3_000_000)))
    assert result == 4499998500000
    assert wall > 0 and 0 < share.own < 2 and (share.others is None or share.others >= 0)
