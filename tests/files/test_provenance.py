import json
import multiprocessing
import shutil

from wsss_core.files.provenance import record_job


def record_many(folder, names, barrier):
    barrier.wait()
    for name in names:
        record_job(folder, {"digest": "1f3c"}, name, {"seconds": len(name)})


def test_jobs_that_finish_at_the_same_time_are_all_there(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    names = [[f"{process}-{number}" for number in range(20)] for process in range(3)]
    jobs = [context.Process(target=record_many, args=(tmp_path, some, barrier)) for some in names]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    made = json.loads((tmp_path / "provenance.json").read_text())
    assert made["digest"] == "1f3c" and set(made["jobs"]) == {name for some in names for name in some}


def test_a_job_replaces_its_own_entry_and_keeps_those_of_earlier_releases(tmp_path):
    record_job(tmp_path, {}, "000-of-002", {"seconds": 1})
    shutil.rmtree(tmp_path / ".provenance")
    record_job(tmp_path, {}, "001-of-002", {"seconds": 2})
    record_job(tmp_path, {}, "001-of-002", {"seconds": 3})
    jobs = json.loads((tmp_path / "provenance.json").read_text())["jobs"]
    assert jobs == {"000-of-002": {"seconds": 1}, "001-of-002": {"seconds": 3}}


def test_damaged_files_are_made_again(tmp_path):
    (tmp_path / ".provenance").mkdir()
    (tmp_path / ".provenance" / "a.json").write_bytes(b"\xff{")
    for damaged in (b"\xff\xfe", b"[]", b'{"jobs": 3}', b""):
        (tmp_path / "provenance.json").write_bytes(damaged)
        record_job(tmp_path, {}, "b", {"seconds": 1})
        assert json.loads((tmp_path / "provenance.json").read_text()) == {"jobs": {"b": {"seconds": 1}}}
