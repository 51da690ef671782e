import pytest
import torch

from wsss_core.jobs.devices import choose_device, loading_processes
from wsss_core.jobs.run import Run


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
    run = Run(threads=5, **{"workers": None, **run})
    assert loading_processes(run, choose_device(run.device)) == expected


def test_a_job_of_one_thread_loads_by_itself():
    assert loading_processes(Run(threads=1, workers=None), torch.device("cuda")) == 0
