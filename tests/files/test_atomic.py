import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsss_core.files.atomic import TEMPORARY_MARK, atomic_path, write_json, write_text


def test_a_file_appears_whole(tmp_path):
    with atomic_path(tmp_path / "deep" / "file.txt") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "deep" / "file.txt").exists()
        assert temporary.suffix == ".txt"
    assert (tmp_path / "deep" / "file.txt").read_text() == "half"


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, function=function: (done.append(name), function(*a)))
    write_text(tmp_path / "file.txt", "content")
    assert done == ["fsync", "replace", "fsync"]  # the file, and then its folder


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
        "import os, signal, sys\nfrom wsss_core.files.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n"
        "    t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file.txt")], cwd=Path(__file__).parents[2])
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "file.txt").exists()
    assert all(name.startswith(TEMPORARY_MARK) for name in os.listdir(tmp_path))


def test_two_writers_do_each_other_no_harm(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the last rename wins


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
@pytest.mark.parametrize("private", [False, True])
def test_a_file_has_the_permissions_of_the_umask_and_the_group_of_the_folder(tmp_path, umask, mode, private):
    """``private``: as a library leaves it that writes through a temporary file of its own."""
    groups = [group for group in os.getgroups() if group != os.getgid()]
    tmp_path.chmod(0o2775)
    if groups or os.getuid() == 0:
        os.chown(tmp_path, -1, groups[0] if groups else os.getgid() + 1)
        tmp_path.chmod(0o2775)
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "folder" / "file") as temporary:
            temporary.touch(mode=0o600 if private else 0o666)
    finally:
        os.umask(before)
    status = (tmp_path / "folder" / "file").stat()
    assert status.st_mode & 0o777 == mode
    assert status.st_gid == tmp_path.stat().st_gid
    assert os.listdir(tmp_path / "folder") == ["file"]
