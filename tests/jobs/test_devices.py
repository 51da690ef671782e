import pytest
import torch

from wsss_core.config.runtime import Runtime
from wsss_core.jobs.devices import loading_processes


@pytest.mark.parametrize(
    ("runtime", "cuda", "expected"),
    [
        ({}, True, 4),
        ({}, False, 0),
        ({"device": "cpu"}, True, 0),
        ({"workers": 2}, True, 2),
        ({"workers": 2}, False, 2),
        ({"workers": 0}, True, 0),
    ],
)
def test_a_gpu_has_images_loaded_by_the_jobs_other_threads(monkeypatch, runtime, cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert loading_processes(Runtime(**runtime), threads=5) == expected


def test_a_job_of_one_thread_loads_by_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert loading_processes(Runtime(), threads=1) == 0
