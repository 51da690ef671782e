import pytest
import torch

from wsss_core.errors import UserError
from wsss_core.jobs.devices import check_bfloat16, choose_device, loading_processes
from wsss_core.jobs.gpu_lease import leased_gpus
from wsss_core.jobs.run import Run


@pytest.fixture
def no_variables(monkeypatch, tmp_path):
    """A job on a workstation, whose GPUs a test invents; torch finds none of them."""
    for variable in ("SLURM_JOB_ID", "WSSS_FAKE_GPUS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(variable, "")  # so that it is put back
        monkeypatch.delenv(variable)
    monkeypatch.setenv("WSSS_GPU_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def old_driver():
    raise RuntimeError(
        "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver by "
        "downloading and installing a new version"
    )


def test_a_job_with_a_gpu_that_torch_cannot_use_ends_in_a_sentence(no_variables, monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.gpu_lease._gpus_of_the_machine", lambda: {"0": "", "1": ""})
    monkeypatch.setattr(torch.cuda, "init", old_driver)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with leased_gpus(1):
        for device in ("auto", "cuda"):
            with pytest.raises(
                UserError, match=r"given GPU 0, .*: The NVIDIA driver .* \(found version 12020\) \(torch "
            ):
                choose_device(device)
        assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto") == torch.device("cpu")  # after the job


def test_a_torch_without_cuda_is_reported(no_variables, monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.gpu_lease._gpus_of_the_machine", lambda: {"0": ""})
    monkeypatch.setattr(torch.version, "cuda", None)
    with (
        leased_gpus(1),
        pytest.raises(UserError, match=r"is built only for CPUs\. Install a torch for the CUDA of the"),
    ):
        choose_device("auto")


@pytest.mark.parametrize("visible", [None, "0,1"])
def test_what_slurm_promised_has_to_be_there(no_variables, monkeypatch, visible):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with leased_gpus(2), pytest.raises(UserError, match=r"this job was given (2 of SLURM's GPUs|GPU 0, 1), but torch"):
        choose_device("auto")


def test_a_laptop_without_gpus_computes_on_the_cpu(no_variables, monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.gpu_lease._gpus_of_the_machine", dict)
    with leased_gpus(1):
        assert choose_device("auto") == torch.device("cpu")
    with leased_gpus(0), pytest.raises(UserError, match=r"finds no CUDA device here; .* the job asks for no GPU"):
        choose_device("cuda")


def test_bfloat16_is_refused_where_it_is_emulated(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(UserError, match="this GPU does not compute in bfloat16; set 'arithmetic' to float32"):
        check_bfloat16(torch.device("cuda"), "arithmetic")
    check_bfloat16(torch.device("cpu"), "arithmetic")


@pytest.mark.parametrize(
    ("run", "cuda", "expected"),
    [
        ({}, True, 4),
        ({}, False, 0),
        ({"device": "cpu"}, True, 0),
        ({"workers": 2}, True, 2),
        ({"workers": 2}, False, 2),
        ({"workers": 0}, True, 0),
    ],
)
def test_a_gpu_has_images_loaded_by_the_jobs_other_threads(monkeypatch, run, cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    run = Run(threads=5, **{"workers": None, **run})
    assert loading_processes(run, choose_device(run.device)) == expected


def test_a_job_of_one_thread_loads_by_itself():
    assert loading_processes(Run(threads=1, workers=None), torch.device("cuda")) == 0
