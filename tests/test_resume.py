import os

from wsss_core.resume import PartialWork


def test_progress_is_kept_while_the_inputs_are_the_same(tmp_path):
    source = tmp_path / "input"
    source.write_text("a")
    PartialWork(tmp_path / "artifact", "shard", [source]).path("block").write_text("done")
    assert PartialWork(tmp_path / "artifact", "shard", [source]).path("block").read_text() == "done"


def test_progress_from_other_inputs_is_thrown_away(tmp_path):
    source, other = tmp_path / "input", tmp_path / "other"
    source.write_text("a")
    other.write_text("a")
    PartialWork(tmp_path / "artifact", "shard", [source]).path("block").write_text("done")
    os.utime(source, (1, 1))
    assert not PartialWork(tmp_path / "artifact", "shard", [source]).path("block").exists()
    PartialWork(tmp_path / "artifact", "shard", [source]).path("block").write_text("done")
    assert not PartialWork(tmp_path / "artifact", "shard", [source, other]).path("block").exists()


def test_a_damaged_record_is_no_record(tmp_path):
    PartialWork(tmp_path / "artifact", "shard", []).path("block").write_text("done")
    (tmp_path / "artifact/.partial/shard/inputs.json").write_text("")
    assert not PartialWork(tmp_path / "artifact", "shard", []).path("block").exists()


def test_finished_work_leaves_no_trace(tmp_path):
    first = PartialWork(tmp_path / "artifact", "shard-0", [])
    second = PartialWork(tmp_path / "artifact", "shard-1", [])
    first.finish()
    assert second.folder.exists()
    second.finish()
    assert list((tmp_path / "artifact").iterdir()) == []
