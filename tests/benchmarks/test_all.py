import csv
import re

import pytest
import torch

from benchmarks import all as benchmark
from benchmarks.all import BENCHMARKS, ON_GPU, REPOSITORY, main, run

SCRIPTS = {
    "good": "print('machine'); print('ratio=3.5 deviation=1e-09')",
    "wrong": "print('ratio=3.5 deviation=1e-09'); raise SystemExit('a | b')",
    "silent": "print('no figures')",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Benchmarks that take no time, in a repository of their own."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name, code in SCRIPTS.items():
        (folder / f"{name}.py").write_text(code)
    (folder / "slow.py").write_text("import time; print('begins', flush=True); time.sleep(60)")
    monkeypatch.setattr(benchmark, "REPOSITORY", tmp_path)
    monkeypatch.setattr(benchmark, "BENCHMARKS", tuple(SCRIPTS))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


def test_the_table_holds_figures_and_faults(modules, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(modules / "out")])
    assert ended.value.code == 1
    text = (modules / "out" / "speed.md").read_text()
    assert re.search(r"^\d+ cores .*, commit ", text)
    assert re.search(r"^\| good \| 3.5 \| 1e-09 \| \d+ \| ", text, re.M)
    assert "| wrong | **failed**: exit status 1: a / b |" in text
    assert "| silent | **failed**: its last line holds no figures: no figures |" in text
    rows = list(csv.DictReader((modules / "out" / "speed.csv").open()))
    assert [row["benchmark"] for row in rows] == list(SCRIPTS)
    assert rows[0]["ratio"] == "3.5" and rows[0]["error"] == "" and rows[1]["ratio"] == ""
    assert (modules / "out" / "good.txt").read_text().startswith("machine\n")
    assert "speed.md" in capsys.readouterr().out


def test_success_is_the_exit_status(modules):
    with pytest.raises(SystemExit) as ended:
        main(["good", "--folder", str(modules / "out")])
    assert ended.value.code == 0


def test_one_that_does_not_end_is_ended(modules):
    row = run("slow", "cpu", modules / "out", limit=2)
    assert row.error == "not done after 2 s: begins"


def test_unknown_names_are_reported(capsys):
    with pytest.raises(SystemExit):
        main(["crff"])
    assert "no benchmark 'crff'; choose from advcam, " in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--device", "cuda"])
    assert ended.value.code == 2 and "no CUDA device" in capsys.readouterr().err


def test_every_benchmark_is_there_and_says_whether_it_takes_a_device():
    for name in BENCHMARKS:
        text = (REPOSITORY / "benchmarks" / f"{name}.py").read_text()
        assert 'if __name__ == "__main__"' in text
        assert ('"--device"' in text) == (name in ON_GPU), name
