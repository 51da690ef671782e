"""kill -9 in the middle of a stage, then the same command again: the same bytes as unbroken."""

import pytest

from .workflow import Workflow, job_processes, wait_for

RERUN = "--rerun-incomplete"


def files_of(workflow, stage, names):
    return {path.name: path.read_bytes() for path in sorted((workflow.results / stage).glob(names))}


def kill_when(workflow, script, progress_made, target):
    """Start ``target``, kill -9 the job of ``script`` once it has made progress; its exit is awaited."""
    process = workflow.start(target)

    def moment():
        jobs = job_processes(process, script)
        return jobs if jobs and progress_made() else None

    for job in wait_for(moment, process):
        job.kill()
    assert process.wait(timeout=300) != 0


@pytest.fixture
def fresh(tmp_path, finished):
    return Workflow(tmp_path, finished.config)


def test_killed_training_and_cam_generation_end_in_the_same_bytes(fresh, finished):
    classifiers, cams = fresh.results / "classifier", fresh.results / "cams"
    kill_when(fresh, "train_classifier", lambda: list(classifiers.glob("*/.partial/*/checkpoint.pt")), "classifier")
    assert not list(classifiers.glob("*/weights.safetensors"))
    assert list(classifiers.glob("*/.partial/*/checkpoint.pt"))
    fresh.run(RERUN, "classifier")
    log = next((fresh.results / "logs/train_classifier").glob("*.log")).read_text()
    assert "continuing after epoch" in log
    for name in ("*/weights.safetensors", "*/training.csv"):
        assert files_of(fresh, "classifier", name) == files_of(finished, "classifier", name) != {}

    kill_when(fresh, "generate_cams", lambda: list(cams.glob("advcam-*/.partial/*/block-*.h5")), "cams")
    assert not list(cams.glob("advcam-*/shards/*.h5"))
    assert list(cams.glob("advcam-*/.partial/*/block-*.h5"))
    fresh.run(RERUN, "cams")
    for variant in ("cam", "advcam"):
        shards = f"{variant}-*/shards/*.h5"
        assert files_of(fresh, "cams", shards) == files_of(finished, "cams", shards) != {}
    log = next((fresh.results / "logs/generate_cams").glob("advcam-*.log")).read_text()
    assert "continuing" in log
