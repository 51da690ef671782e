import pytest

from benchmarks.averaging import main
from tests.benchmarks.figures import figures

pytest.importorskip("pydensecrf")


def test_prints_times_and_figures(capsys):
    main(["--height", "40", "--width", "56", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and lines[1] == "one image of 40x56, 3 labels"
    assert [line.partition(":")[0] for line in lines[2:5]] == ["CRF", "PAR", "PAMR"]
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and deviation <= 0.01


def test_what_scores_need_comes_together(capsys):
    with pytest.raises(SystemExit):
        main(["--classifier", "weights.safetensors"])
    assert "give --classifier, --index and --masks together" in capsys.readouterr().err
