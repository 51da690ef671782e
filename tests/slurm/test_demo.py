"""The demo on the cluster: what the controller is asked for, what it grants, and what comes out."""

import re

import pytest
import torch

from wsss_core.files.cam_store import CamStoreReader

from .cluster import GPU_MODEL, GPU_PARTITION, NODES, PARTITION

WITH_GPU = {"prepare_backbone", "train_classifier", "score_classifier", "generate_cams"}


@pytest.fixture(scope="module")
def jobs(finished, cluster):
    """The controller's jobs of the undisturbed run."""
    return [job for job in cluster.jobs() if job.fields["WorkDir"] == str(finished.folder)]


def test_every_job_was_the_controllers(finished, jobs):
    assert sorted(job.rule for job in jobs) == [
        *("generate_cams", "generate_cams", "generate_cams", "generate_cams", "generate_creatures"),
        *("index_dataset", "index_masks", "prepare_backbone", "score_cams", "score_classifier", "train_classifier"),
    ]
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert (finished.results / "summary.md").exists()


def test_jobs_ask_for_what_the_configuration_says(jobs):
    asked = {job.rule: job.fields for job in jobs}
    training = asked["train_classifier"]
    assert (training["CPUs/Task"], training["MinMemoryNode"], training["TimeLimit"]) == ("2", "2400M", "00:07:00")
    assert training["TresPerJob"] == f"gres:gpu:{GPU_MODEL}:2"
    maps = asked["generate_cams"]
    assert (maps["CPUs/Task"], maps["MinMemoryNode"], maps["TimeLimit"]) == ("1", "3000M", "00:15:00")
    assert maps["TresPerJob"] == f"gres:gpu:{GPU_MODEL}:1"
    index = asked["index_dataset"]
    assert (index["MinMemoryNode"], index["TimeLimit"]) == ("4000M", "00:20:00")  # of 120 minutes: max_runtime
    assert "TresPerJob" not in index


def test_the_profile_says_where_jobs_go(jobs, cluster):
    for job in jobs:
        assert job.fields["Partition"] == (GPU_PARTITION if job.rule in WITH_GPU else PARTITION)
        assert job.fields["Account"] == "nobody"
        assert job.fields["JobName"].startswith("wsss_")
        for line in cluster.submit_lines(job.rule):
            assert "--qos=normal" in line
            assert re.findall(r"--gpus=(\S+)", line) == ([f"{GPU_MODEL}:{job.gpus}"] if job.rule in WITH_GPU else [])


def test_a_job_of_two_gpus_is_one_process_on_one_node(finished, jobs):
    (training,) = [job for job in jobs if job.gpus == 2]
    assert finished.at_work("training") == {str(training.number): [{"gpus": "0,1"}]}
    assert (training.fields["NumNodes"], training.fields["NumTasks"]) == ("1", "1")


def test_never_more_gpus_are_in_use_than_there_are(jobs):
    with_gpu = [job for job in jobs if job.gpus]
    for job in with_gpu:
        start = job.fields["StartTime"]
        # One that ends in the second in which this one starts is not beside it.
        running = [other for other in with_gpu if other.fields["StartTime"] <= start < other.fields["EndTime"]]
        assert sum(other.gpus for other in running) <= sum(NODES.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU, and only a CPU computes the same to the byte")
def test_the_result_is_that_of_a_run_on_this_machine(finished, local):
    for stage in ("backbone", "classifier"):
        for name in ("weights.safetensors", "training.csv"):
            (found,), (expected,) = (run.results.glob(f"{stage}/*/{name}") for run in (finished, local))
            assert found.read_bytes() == expected.read_bytes(), (stage, name)
    shards, whole = (sorted(run.results.glob("cams/*/shards/[!.]*.h5")) for run in (finished, local))
    assert (len(shards), len(whole)) == (4, 1)
    with CamStoreReader(shards) as found, CamStoreReader(whole) as expected:
        assert set(found.image_ids) == set(expected.image_ids) and len(found.image_ids) == 24
        for image_id in expected.image_ids:
            one, other = found.read(image_id), expected.read(image_id)
            assert (one.classes == other.classes).all() and one.cam.tobytes() == other.cam.tobytes(), image_id
