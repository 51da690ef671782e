import pytest

from benchmarks.prediction import main
from tests.benchmarks.figures import figures

TINY = ["--images", "3", "--height", "40", "--width", "56", "--network", "resnet_small", "--stride", "8"]


@pytest.mark.parametrize("further", [["--keep", "--scales", "0.5", "1.0"], ["--precision", "bfloat16"]])
def test_prints_machine_sizes_and_figures(capsys, further):
    main([*TINY, "--repeats", "1", "--threads", "1", "--no-crf", *further])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert lines[1].startswith("3 images of 40x56, 20 classes, DeepLabV3+ on resnet_small of stride 8")
    assert [line.split(":")[0] for line in lines[2:4]] == ["plain loop", "predict"]
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and deviation < (0.2 if "bfloat16" in further else 1e-3)


def test_a_trace_of_all_threads(capsys, tmp_path):
    main([*TINY, "--threads", "1", "--no-crf", "--timeline", str(tmp_path / "trace.json")])
    assert "convolutions" in capsys.readouterr().out
    assert "conv" in (tmp_path / "trace.json").read_text()
