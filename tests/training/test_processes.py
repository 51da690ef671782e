"""One training in two processes: the method of one process, whatever happens to either. On the CPU, with gloo."""

import random
import signal
import time
from pathlib import Path

import pandas
import pytest
import torch
from safetensors.torch import load_file

from tests.training.jobs import (
    family,
    log_of,
    results_of,
    run,
    start,
    start_script,
    wait_for_line,
    wait_until_gone,
)
from wsss_core.training.batches import EpochBatches


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The results of two processes that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert run(folder, gpus=2, dropout=0.3) == 0
    return results_of(folder)


@pytest.mark.parametrize(
    "options",
    [{}, {"workers": 2, "batch_sizes": [4, 6, 2]}, {"parts": 2, "frozen": True}],
    ids=["plain", "workers_and_sizes", "parts"],
)
def test_two_processes_do_what_one_does(tmp_path, options):
    """In float64, batch normalisation and momentum included, but for the order of sums."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(one, **options) == 0
    assert run(two, gpus=2, **options) == 0
    assert (two / "output.txt").read_text().count("trains") == 2
    assert "training in 2 processes" in log_of(two)
    weights, others = (load_file(folder / "weights.safetensors") for folder in (one, two))
    assert set(weights) == set(others)
    for name, tensor in weights.items():
        assert (tensor - others[name]).abs().max() < 1e-13, name
    curves = [pandas.read_csv(folder / "training.csv") for folder in (one, two)]
    pandas.testing.assert_frame_equal(*curves, rtol=1e-12)


def test_every_stage_trains_in_two_processes_as_in_one(tmp_path):
    """In float32. Their losses are means over pixels, or pairs, of which the processes have different numbers."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for gpus, folder in enumerate(folders, start=1):
        process = start_script(Path(__file__).with_name("all_trainings.py"), folder, gpus)
        assert process.wait(timeout=300) == 0, (folder / "output.txt").read_text()
    assert "training in 2 processes" in log_of(folders[1])
    segmenters = ("segmenter", "deeplabv2", "deeplabv3plus", "resnet38_small", "vgg16_small", "semi")
    for stage in ("backbone", "ordinary", "aeft", "affinity", "irn", *segmenters):
        curves = [pandas.read_csv(folder / stage / "training.csv") for folder in folders]
        pandas.testing.assert_frame_equal(*curves, rtol=1e-4)
        weights, others = (load_file(folder / stage / "weights.safetensors") for folder in folders)
        assert any((weights[name] != others[name]).any() for name in weights)  # they were not trained by one process
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, others[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_killed_in_any_epoch_two_processes_end_as_unbroken_ones(tmp_path, unbroken, epoch):
    process = start(tmp_path, gpus=2, dropout=0.3, pause=0.05)
    wait_for_line(tmp_path, f"epoch {epoch}, loss" if epoch else "process 1 trains", process)
    time.sleep(random.uniform(0, 0.2))
    processes = family(process)
    process.kill()
    process.wait()
    wait_until_gone(processes)
    assert not (tmp_path / "weights.safetensors").exists()
    assert run(tmp_path, gpus=2, dropout=0.3) == 0
    assert epoch == 0 or f"continuing after epoch {epoch} and" in log_of(tmp_path)
    assert results_of(tmp_path) == unbroken


def test_a_warning_stops_both_after_the_same_step(tmp_path, unbroken):
    process = start(tmp_path, gpus=2, dropout=0.3, pause=0.05)
    wait_for_line(tmp_path, "epoch 1, loss", process)
    time.sleep(0.1)
    processes = family(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    wait_until_gone(processes)
    assert run(tmp_path, gpus=2, dropout=0.3) == 0
    assert "continuing after epoch 1 and" in log_of(tmp_path) and "and 0 steps" not in log_of(tmp_path)
    assert results_of(tmp_path) == unbroken


def test_the_other_process_killed_is_one_sentence(tmp_path):
    process = start(tmp_path, gpus=2, pause=0.2)
    wait_for_line(tmp_path, "epoch 1, loss", process)
    other = family(process)[1]
    other.kill()
    assert process.wait(timeout=60) == 1
    assert "process 2 of 2 of this training died (status -9)" in (tmp_path / "output.txt").read_text()
    assert "Traceback" not in (tmp_path / "output.txt").read_text()


@pytest.mark.parametrize("process", [0, 1])
def test_an_error_of_either_process_is_told_once(tmp_path, process):
    batches = EpochBatches(22, lambda epoch: 4, seed=0, process=process, processes=2)
    _, image = next(iter(batches))[0]
    assert run(tmp_path, gpus=2, broken=image) == 1
    output = (tmp_path / "output.txt").read_text()
    assert output.count(f"image {image} is broken") == 1 and "Traceback" not in output


def test_what_both_notice_is_told_once(tmp_path):
    assert run(tmp_path, gpus=2, factor=float("inf")) == 1
    output = (tmp_path / "output.txt").read_text()
    assert output.count("a lower 'optimisation.learning_rate' usually helps") == 1 and "Traceback" not in output


def test_a_batch_that_makes_no_equal_parts_is_refused(tmp_path):
    assert run(tmp_path, gpus=2, parts=3) == 1
    output = (tmp_path / "output.txt").read_text()
    assert "2 images in a process, which make no 3 equal parts; choose an 'optimisation.accumulate'" in output


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    assert run(tmp_path, gpus=2, batch_sizes=[4, 5, 4]) == 1
    assert "2 GPUs cannot share the 5 images of a step equally" in (tmp_path / "output.txt").read_text()
