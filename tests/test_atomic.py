import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsss_core.atomic import TEMPORARY_MARK, atomic_path, write_json, write_text


def test_a_file_appears_whole(tmp_path):
    with atomic_path(tmp_path / "deep" / "file.txt") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "deep" / "file.txt").exists()
        assert temporary.suffix == ".txt"
    assert (tmp_path / "deep" / "file.txt").read_text() == "half"


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_one_form(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    write_json(tmp_path / "b.json", {"a": [2], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_killed_writer_leaves_no_file_of_that_name(tmp_path):
    code = (
        "import os, signal, sys\nfrom wsss_core.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n"
        "    t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file.txt")], cwd=Path(__file__).parents[1])
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "file.txt").exists()
    assert all(name.startswith(TEMPORARY_MARK) for name in os.listdir(tmp_path))


def test_two_writers_do_each_other_no_harm(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the last rename wins
