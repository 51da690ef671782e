import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from wsss_core.files.atomic import TEMPORARY_MARK, atomic_path, write_text
from wsss_core.files.resume import PartialWork, forget_finished_work


def work(artifact, task="shard", inputs=()):
    return PartialWork(artifact, task, inputs)


@pytest.fixture
def artifact(tmp_path):
    return tmp_path / "results" / "stage" / "artifact"


def test_progress_is_kept_while_the_inputs_are_the_same(tmp_path, artifact):
    source = tmp_path / "input"
    source.write_text("a")
    work(artifact, inputs=[source]).path("block").write_text("done")
    assert work(artifact, inputs=[source]).path("block").read_text() == "done"


def test_progress_from_other_inputs_is_thrown_away(tmp_path, artifact):
    source, other = tmp_path / "input", tmp_path / "other"
    source.write_text("a")
    other.write_text("a")
    first = work(artifact, inputs=[source])
    first.path("block").write_text("done")
    os.utime(source, (1, 1))
    assert not work(artifact, inputs=[source]).path("block").exists()
    assert not first.folder.exists()
    work(artifact, inputs=[source]).path("block").write_text("done")
    assert not work(artifact, inputs=[source, other]).path("block").exists()


def test_the_tasks_of_an_artifact_do_not_mix(artifact):
    first, second = work(artifact, "shard-0"), work(artifact, "shard-0-and-more")
    first.path("block").write_text("first")
    second.path("block").write_text("second")
    first.finish()
    assert work(artifact, "shard-0-and-more").path("block").read_text() == "second"
    assert not work(artifact, "shard-0").path("block").exists()


def test_finished_work_leaves_no_trace(artifact):
    first, second = work(artifact, "shard-0"), work(artifact, "shard-1")
    first.finish()
    assert second.folder.exists()
    second.finish()
    assert list(artifact.iterdir()) == []


def test_finished_outputs_come_back_when_they_were_deleted(artifact):
    outputs = [artifact / "weights", artifact / "curve"]
    first = work(artifact)
    first.path("checkpoint").write_text("large")
    assert not first.restore(*outputs)
    for output in outputs:
        write_text(output, output.name)
    first.finish(*outputs)
    assert not first.path("checkpoint").exists()
    assert not work(artifact).restore(*outputs)  # they are there: the caller wants them made again
    inode = outputs[0].stat().st_ino
    for output in outputs:
        output.unlink()
    assert work(artifact).restore(*outputs)
    assert [output.read_text() for output in outputs] == ["weights", "curve"]
    assert outputs[0].stat().st_ino == inode
    work(artifact).finish(*outputs)
    outputs[1].unlink()
    assert not work(artifact).restore(*outputs)


def test_finished_outputs_of_other_inputs_do_not_come_back(tmp_path, artifact):
    source, output = tmp_path / "input", artifact / "weights"
    source.write_text("a")
    first = work(artifact, inputs=[source])
    write_text(output, "of a")
    first.finish(output)
    output.unlink()
    source.write_text("other")
    assert not work(artifact, inputs=[source]).restore(output)


@pytest.mark.parametrize("damage", ["weig", "WEIGHTS"], ids=["cut", "of_the_same_size"])
def test_what_was_damaged_after_it_was_finished_does_not_come_back(artifact, damage):
    """Damaged in place, so that the other name, by which it is kept, has the damage too."""
    output = artifact / "weights"
    write_text(output, "weights")
    work(artifact).finish(output)
    output.write_text(damage)
    output.unlink()
    assert not work(artifact).restore(output) and not output.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_what_a_colleague_has_finished_comes_back_too():
    """Their file is the group's to read and write, but only its owner may set its permissions."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        artifact = Path(folder) / "artifact"
        write_text(artifact / "weights", "weights")
        work(artifact).finish(artifact / "weights")
        (artifact / "weights").unlink()
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o666)
        child = os.fork()
        if child == 0:
            with suppress(Exception):
                os.setuid(65534)
                os._exit(0 if work(artifact).restore(artifact / "weights") else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert (artifact / "weights").read_text() == "weights"


def test_without_hard_links_nothing_comes_back(artifact, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not supported")))
    write_text(artifact / "weights", "w")
    first = work(artifact)
    first.finish(artifact / "weights")
    assert [path.name for path in artifact.iterdir()] == ["weights"]
    assert not first.restore(artifact / "weights")


def test_what_another_job_writes_is_left_alone(artifact):
    """A job that was taken for dead goes on writing while its successor finishes."""
    first, second = work(artifact), work(artifact)
    with atomic_path(first.path("block")) as temporary:
        temporary.write_text("whole")
        write_text(artifact / "output", "x")
        second.finish(artifact / "output")
    assert first.path("block").read_text() == "whole"
    write_text(first.path("next"), "also")
    first.finish(artifact / "output")
    (left,) = first.folder.iterdir()
    assert left.name.startswith("finished-") and left.name.endswith("output")


def test_all_is_forgotten_when_the_workflow_has_succeeded(tmp_path, artifact):
    write_text(artifact / "output", "x")
    unfinished, finished, killed = (work(artifact, name) for name in ("unfinished", "finished", "killed"))
    unfinished.path("block").write_text("done")
    finished.finish(artifact / "output")
    leftover = killed.path(f"{TEMPORARY_MARK}abc-block")
    leftover.write_text("ha")
    forget_finished_work(tmp_path / "results")
    assert unfinished.folder.exists() and leftover.exists() and not finished.folder.exists()
    os.utime(leftover, (time.time() - 1e5, time.time() - 1e5))
    forget_finished_work(tmp_path / "results")
    assert unfinished.path("block").exists() and not killed.folder.exists()
    assert (artifact / "output").exists()
