import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import wsss_core
from tests.pretended_cuda.machine import numerics_restored
from wsss_core.errors import UserError
from wsss_core.jobs.job import Job, in_job
from wsss_core.jobs.measured import forget_figures, recorded_figures
from wsss_core.jobs.numerics import WORKSPACE, apply_numerics, device_for
from wsss_core.jobs.run import Run

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    forget_figures()
    with numerics_restored(), torch.backends.cudnn.flags(enabled=True):
        os.environ.pop(WORKSPACE, None)
        yield
    forget_figures()


def seen():
    cudnn = torch.backends.cudnn
    return {
        "order": torch.are_deterministic_algorithms_enabled() and cudnn.deterministic,
        "benchmark": cudnn.benchmark,
        "tf32": {cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32},
    }


def test_float32_on_a_gpu_is_float32_whatever_torch_has_by_default():
    torch.backends.cudnn.allow_tf32 = True
    apply_numerics(Run(), CUDA)
    assert seen() == {"order": False, "benchmark": False, "tf32": {False}}
    assert WORKSPACE not in os.environ
    assert recorded_figures() == {"deterministic": False, "tf32": False, "cudnn_benchmark": False}


def test_tf32_is_computed_where_it_is_asked_for():
    apply_numerics(Run(), CUDA, "tf32", one_size=True)
    assert seen() == {"order": False, "benchmark": True, "tf32": {True}}
    assert recorded_figures()["tf32"]
    apply_numerics(Run(), CUDA, "bfloat16")
    assert seen() == {"order": False, "benchmark": False, "tf32": {False}}


def test_a_gpu_without_tf32_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 0))
    apply_numerics(Run(), CUDA, "tf32")
    assert "this GPU has no TF32" in caplog.text
    assert recorded_figures()["tf32"] is False and seen()["tf32"] == {False}


def test_a_fixed_order_leaves_no_choice_of_algorithms():
    apply_numerics(Run(deterministic=True), CUDA, one_size=True)
    assert seen() == {"order": True, "benchmark": False, "tf32": {False}}
    assert os.environ[WORKSPACE] == ":4096:8"
    assert recorded_figures()["deterministic"]
    apply_numerics(Run(), CUDA)  # the next job of one process
    assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.deterministic


def test_an_environment_that_rules_it_out_is_a_sentence(monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.numerics.choose_device", lambda name: CPU if name == "cpu" else CUDA)
    os.environ[WORKSPACE] = ":16:8"
    device_for(Run(deterministic=True))
    os.environ[WORKSPACE] = ":4096:2:16:8"
    assert device_for(Run(deterministic=True, device="cpu")) == CPU  # which cuBLAS has no part in
    with pytest.raises(
        UserError, match=r"needs CUBLAS_WORKSPACE_CONFIG=:4096:8 .* but it is :4096:2:16:8 there; unset"
    ):
        device_for(Run(deterministic=True))


def test_the_environment_is_set_before_torch_looks_for_gpus(monkeypatch):
    found = []
    monkeypatch.setattr(
        "wsss_core.jobs.numerics.choose_device", lambda name: found.append(os.environ[WORKSPACE]) or CPU
    )
    assert device_for(Run(deterministic=True)) == CPU
    assert found == [":4096:8"]


def test_cpus_are_left_as_they_are():
    before = seen()
    apply_numerics(Run(deterministic=True), CPU, "tf32", one_size=True)
    assert seen() == before and recorded_figures() == {}


def test_bfloat16_is_refused_where_it_is_emulated(monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.numerics.choose_device", lambda name: CUDA)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(UserError, match=r"set 'optimisation\.precision' to float32"):
        device_for(Run(), "bfloat16", "optimisation.precision")


def test_an_operation_without_an_order_ends_a_job_in_a_sentence(tmp_path, quiet):
    message = "median CUDA with indices output does not have a deterministic implementation, but you set"
    with pytest.raises(SystemExit), in_job(tmp_path / "train_classifier" / "a.log", 1):
        raise RuntimeError(message)
    assert (
        f"set 'runtime: {{deterministic: false}}' ({message})" in (tmp_path / "train_classifier" / "a.log").read_text()
    )


def test_a_job_hands_the_key_on():
    snakemake = SimpleNamespace(config={"runtime": {"deterministic": True}}, params={}, input=[], threads=1)
    assert Job(snakemake).run().deterministic
    snakemake.config = {}
    assert not Job(snakemake).run().deterministic


def test_blocks_are_computed_again_in_the_trainings_that_the_key_names():
    snakemake = SimpleNamespace(config={"runtime": {"recompute": ["train_classifier"]}}, params={}, input=[], threads=1)
    for rule, expected in (("train_classifier", True), ("train_segmenter", False)):
        snakemake.rule = rule
        assert Job(snakemake).run().recompute == expected


def test_no_job_or_command_chooses_its_device_without_setting_how_it_computes():
    package = Path(wsss_core.__file__).parent
    files = {str(file.relative_to(package)) for file in package.rglob("*.py") if "choose_device(" in file.read_text()}
    assert files == {"jobs/devices.py", "jobs/numerics.py"}
