import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from wsss_core.config import read_yaml
from wsss_core.config.stages import DEFAULT_RESOURCES
from wsss_core.errors import UserError
from wsss_core.jobs.gpu_memory import REMEDIES, full_memory_explained, gpu_memory_was_full, let_memory_grow
from wsss_core.jobs.job import in_job
from wsss_core.plan.rules import Rules

REPOSITORY = Path(__file__).parents[2]

MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.21 GiB is "
    "free. Including non-PyTorch memory, this process has 22.42 GiB memory in use.\nSee the documentation"
)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(MESSAGE),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_full_gpu_is_reported_with_what_to_lower(error):
    said = pytest.raises(
        UserError, match=r"^out of GPU memory \(CUDA .*\)\. More 'mem_mb' .* 'optimisation.accumulate'"
    )
    with said, full_memory_explained("train_segmenter"):
        raise error


def test_other_errors_stay_what_they_are():
    for error in (UserError("a sentence"), RuntimeError("mat1 and mat2 shapes cannot be multiplied"), MemoryError()):
        with pytest.raises(type(error)), full_memory_explained("predict"):
            raise error


def test_every_rule_with_a_gpu_has_something_to_lower():
    assert REMEDIES.keys() == {rule for rule, asked in DEFAULT_RESOURCES.items() if asked.gpu}


def test_a_job_says_so_and_the_next_attempt_asks_for_no_more_ram(tmp_path, quiet, monkeypatch):
    log = tmp_path / "demo" / "logs" / "predict" / "deeplab-123.000-of-002.log"
    for variable in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SystemExit), in_job(log, 1):
        assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
        raise torch.OutOfMemoryError(MESSAGE)
    text = log.read_text()
    assert "out of GPU memory (CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has" in text
    assert "fault of the program" not in text and "Traceback" not in text and "smaller 'scales'" in text
    assert gpu_memory_was_full(log)

    rules = Rules(read_yaml(REPOSITORY / "config.yaml"))
    rules.folder = str(tmp_path / "demo")
    asked = rules.resources("predict")["mem_mb"]
    this, other = (SimpleNamespace(artifact="deeplab-123", shard=shard, shards="002") for shard in ("000", "001"))
    one = asked(this, 1)
    assert [asked(this, attempt) for attempt in (1, 2, 3)] == [one, one, one]
    assert [asked(other, attempt) for attempt in (1, 2, 3)] == [one, 2 * one, 3 * one]


@pytest.mark.parametrize("name", ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"])
def test_what_the_user_set_for_torch_stays(monkeypatch, quiet, name):
    for variable in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "max_split_size_mb:64")
    let_memory_grow()
    assert {key: value for key, value in os.environ.items() if key.endswith("ALLOC_CONF")} == {
        name: "max_split_size_mb:64"
    }
