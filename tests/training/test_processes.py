"""One training in two processes: the method of one process, whatever happens to either. On the CPU, with gloo."""

import json
import re
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
    release,
    results_of,
    run,
    start,
    start_script,
    wait_for_line,
    wait_until_gone,
)
from wsss_core.training.batches import EpochBatches

pytestmark = pytest.mark.xdist_group("processes")

SEGMENTER = Path(__file__).with_name("segmenter_training.py")
TIME = r"\d{4}-\d\d-\d\d [\d:,]+"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The results of two processes that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert run(folder, gpus=2, dropout=0.3) == 0
    return results_of(folder)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain", marks=pytest.mark.slow),
        pytest.param({"workers": 2, "batch_sizes": [4, 8, 4], "parts": 2}, id="workers_sizes_and_parts"),
    ],
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
    segmenters = (
        "segmenter",
        "deeplabv2",
        "deeplabv3plus",
        "pspnet",
        "resnet38_small",
        "vgg16_small",
        "semi",
        "parted",
    )
    stages = ("backbone", "ordinary", "aeft", "timm", "affinity", "irn", *segmenters)
    for stage in stages:
        curves = [pandas.read_csv(folder / stage / "training.csv") for folder in folders]
        pandas.testing.assert_frame_equal(*curves, rtol=1e-4)
        weights, others = (load_file(folder / stage / "weights.safetensors") for folder in folders)
        assert any((weights[name] != others[name]).any() for name in weights)  # they were not trained by one process
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, others[name], rtol=1e-3, atol=1e-4)

    # What is finished is put back for both processes, or for neither, though one asks when the files are there.
    folder = folders[1]
    finished = {path: path.read_bytes() for path in folder.glob("*/*") if path.suffix in (".safetensors", ".csv")}
    for path in finished:
        path.unlink()
    process = start_script(Path(__file__).with_name("all_trainings.py"), folder, 2)
    assert process.wait(timeout=120) == 0, (folder / "output.txt").read_text()
    assert log_of(folder).count("an earlier run had finished") == len(stages) and "epoch 1" not in log_of(folder)
    assert {path: path.read_bytes() for path in finished} == finished


def kill_when(line, folder, process, pause=0.0):
    """Kill a job's main process `pause` seconds after it has said this; the others end with it."""
    wait_for_line(folder, line, process)
    time.sleep(pause)
    processes = family(process)
    process.kill()
    process.wait()
    wait_until_gone(processes)
    assert not (folder / "weights.safetensors").exists()


def killed_and_run_again(folder, epoch, step):
    """The results of two processes that are killed in this step of this epoch (both from 0), and run again."""
    kill_when("holds", folder, start(folder, gpus=2, dropout=0.3, hold=[epoch, step]))
    assert run(folder, gpus=2, dropout=0.3) == 0
    assert epoch == 0 or f"continuing after epoch {epoch} and" in log_of(folder)
    return results_of(folder)


def test_killed_in_some_epoch_two_processes_end_as_unbroken_ones(tmp_path, unbroken, dice):
    assert killed_and_run_again(tmp_path, dice.choice([0, 1, 2]), dice.randrange(5)) == unbroken


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_killed_in_any_epoch_two_processes_end_as_unbroken_ones(tmp_path, unbroken, dice, epoch):
    assert killed_and_run_again(tmp_path, epoch, dice.randrange(5)) == unbroken


@pytest.fixture(scope="module")
def unbroken_segmenter(tmp_path_factory):
    """The results of a segmenter's training in two processes that nothing happened to."""
    folder = tmp_path_factory.mktemp("segmenter")
    process = start_script(SEGMENTER, folder, 2, "0")
    assert process.wait(timeout=300) == 0, (folder / "output.txt").read_text()
    return results_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_a_segmenter_killed_in_any_epoch_ends_as_the_unbroken_one(tmp_path, unbroken_segmenter, dice, epoch):
    """With dropout, crops, images with masks in every step, and perturbed decoders: all that is drawn by chance."""
    process = start_script(SEGMENTER, tmp_path, 2, "1")
    begun = f"epoch {epoch}, loss" if epoch else "training in 2 processes"
    kill_when(begun, tmp_path, process, dice.uniform(0, 0.8))
    process = start_script(SEGMENTER, tmp_path, 2, "0")
    assert process.wait(timeout=300) == 0, (tmp_path / "output.txt").read_text()
    kept = re.search(r"continuing after epoch (\d+) and", log_of(tmp_path))
    assert int(kept[1] if kept else 0) >= epoch - 1  # an epoch is reported just before it is kept
    assert results_of(tmp_path) == unbroken_segmenter


def test_a_warning_stops_both_after_the_same_step(tmp_path, unbroken):
    process = start(tmp_path, gpus=2, dropout=0.3, hold=[1, 2])
    wait_for_line(tmp_path, "holds", process)
    processes = family(process)
    process.send_signal(signal.SIGTERM)
    release(tmp_path)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    wait_until_gone(processes)
    assert run(tmp_path, gpus=2, dropout=0.3) == 0
    assert "continuing after epoch 1 and" in log_of(tmp_path) and "and 0 steps" not in log_of(tmp_path)
    assert results_of(tmp_path) == unbroken


def test_the_other_process_killed_is_one_sentence(tmp_path):
    process = start(tmp_path, gpus=2, hold=[1, 2])
    wait_for_line(tmp_path, "holds", process)
    other = family(process)[1]
    other.kill()
    release(tmp_path)
    assert process.wait(timeout=60) == 1
    assert "process 2 of 2 of this training died (status -9)" in (tmp_path / "output.txt").read_text()
    assert "Traceback" not in (tmp_path / "output.txt").read_text()


@pytest.mark.parametrize("process", [0, 1])
def test_an_error_of_either_process_is_reported_once(tmp_path, process):
    batches = EpochBatches(22, lambda epoch: 4, seed=0, process=process, processes=2)
    _, image = next(iter(batches))[0]
    assert run(tmp_path, gpus=2, broken=image) == 1
    output = (tmp_path / "output.txt").read_text()
    assert output.count(f"image {image} is broken") == 1 and "Traceback" not in output


def test_what_both_notice_is_reported_once(tmp_path):
    assert run(tmp_path, gpus=2, factor=float("inf")) == 1
    output = (tmp_path / "output.txt").read_text()
    assert output.count("a lower 'optimisation.learning_rate' usually helps") == 1 and "Traceback" not in output


def test_of_three_processes_one_that_dies_before_it_joins_ends_the_job(tmp_path):
    """The other two would wait for it, half an hour long."""
    process = start(tmp_path, gpus=3, dies=2, seconds_to_hear=0.5)
    try:
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
    output = (tmp_path / "output.txt").read_text()
    assert output.count("process 3 of 3 of this training died (status 3)") == 1 and "Traceback" not in output
    assert "trains" not in output


def test_a_job_may_take_its_time_after_the_training(tmp_path):
    """It records its provenance, on a slow disk; that the other process has ended by then is no failure."""
    assert run(tmp_path, gpus=2, seconds_to_hear=0.2, slow_record=1) == 0, (tmp_path / "output.txt").read_text()
    assert "done in" in log_of(tmp_path) and "ERROR" not in log_of(tmp_path)
    (made,) = json.loads((tmp_path / "provenance.json").read_text())["jobs"].values()
    assert made["images_per_second"] > 0


def test_the_log_has_all_that_the_other_process_has_to_say(tmp_path):
    batches = EpochBatches(22, lambda epoch: 4, seed=0, process=1, processes=2)
    *_, last = batches  # of the first epoch's steps
    assert run(tmp_path, gpus=2, warning="images are dark " * 20, fault=last[0][1]) == 1
    log = log_of(tmp_path)
    assert len(re.findall(rf"^{TIME} WARNING process 2 of 2: (images are dark ){{20}}$", log, re.M)) == 1
    fault = (
        r"ERROR process 2 of 2: This is a fault of the program.*\nTraceback .*\n(?: .*\n)+ValueError: no such image\n"
    )
    assert len(re.findall(rf"^{TIME} {fault}", log, re.M)) == 1
    assert re.search(rf"^{TIME} INFO training in 2 processes$", log, re.M)
    assert re.search(rf"\n{TIME} ERROR process 2 of 2 failed because of a fault of the program; .*\n\Z", log)


def test_a_batch_that_makes_no_equal_parts_is_refused(tmp_path):
    assert run(tmp_path, gpus=2, parts=3) == 1
    output = (tmp_path / "output.txt").read_text()
    refused = "2 images in a process, which cannot be divided into 3 equal parts; choose an 'optimisation.accumulate'"
    assert refused in output


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    assert run(tmp_path, gpus=2, batch_sizes=[4, 5, 4]) == 1
    assert "2 GPUs cannot share the 5 images of a step equally" in (tmp_path / "output.txt").read_text()
