import torch

from benchmarks import pair_labels as benchmark
from benchmarks.pair_labels import Setting, main
from tests.benchmarks.figures import figures

SMALL = [Setting("first", 13, 4, 3, 1), Setting("second", 10, 3, 2, 2)]


def test_prints_machine_sizes_and_figures(capsys):
    main(["--threads", "1"], SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert any("first: 3 label maps of 13x13, radius 4" in line for line in lines)
    assert any("1 of 3 label maps timed for all" in line for line in lines)
    first = next(line for line in lines if line.startswith("first: ratio="))
    for line in (first.removeprefix("first: "), lines[-1]):
        ratio, deviation = figures(line)
        assert ratio > 0 and deviation == 0


def test_differing_pairs_are_counted(capsys, monkeypatch):
    right = benchmark.pair_labels

    def wrong(labels, offsets, radius):
        return right(torch.where(labels == 0, 255, labels), offsets, radius)

    monkeypatch.setattr(benchmark, "pair_labels", wrong)
    main(["--threads", "1"], SMALL[1:])
    assert figures(capsys.readouterr().out.splitlines()[-1])[1] > 0
