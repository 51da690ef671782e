import pytest
import torch

from benchmarks.multiscale import main
from tests.benchmarks.figures import figures

SMALL = ["--height", "40", "--width", "56", "--network", "resnet_small", "--images", "2", "--threads", "1"]


@pytest.mark.parametrize(("precision", "largest"), [("float32", 1e-3), ("bfloat16", 0.2)])
def test_prints_machine_sizes_and_figures(capsys, precision, largest):
    main([*SMALL, "--repeats", "2", "--precision", precision])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert lines[1].endswith(f"2 images of 40x56, scales (0.5, 1.0, 1.5, 2.0), {precision}")
    assert lines[2].startswith("one after the other: ") and lines[3].startswith("ours: ")
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and 1e-6 < deviation < largest


def test_profile_and_timeline(capsys, tmp_path):
    main([*SMALL, "--profile", "--timeline", str(tmp_path / "trace.json")])
    assert "%  convolutions" in capsys.readouterr().out
    assert "conv" in (tmp_path / "trace.json").read_text()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu(capsys, precision):
    main([*SMALL, "--device", "cuda", "--precision", precision, "--repeats", "1"])
    ratio, _ = figures(capsys.readouterr().out.splitlines()[-1])
    assert ratio > 0
