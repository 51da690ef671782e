"""A box comes from anywhere: what no box has is refused before anything is written."""

import hashlib
import json
import stat
import zipfile

import pytest

from wsss_core.box.contents import can_be_packed, check_name
from wsss_core.box.unpack import unpack
from wsss_core.errors import UserError

SETTINGS = b"dataset: {name: mine, format: folder, root: data/mine}\nexperiments: {}\n"


def box_of(path, files, description=None, **entry):
    """Write an archive as `pack` would, of any files."""
    files = {"config.yaml": SETTINGS, "README.md": b"# a box\n", **files}
    listed = {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in files.items()}
    said = {"format": "wsss-box", "version": 1, "experiment": "cam", "files": listed, **(description or {})}
    with zipfile.ZipFile(path, "w", entry.get("compression", zipfile.ZIP_STORED)) as archive:
        archive.writestr("box.json", json.dumps(said))
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = entry.get("compression", zipfile.ZIP_STORED)
            info.create_system = 3
            changed = name not in ("config.yaml", "README.md")
            info.external_attr = (entry.get("mode", 0o100644) if changed else 0o100644) << 16
            archive.writestr(info, content)
    return path


def refused(tmp_path, box):
    (tmp_path / "here").mkdir(exist_ok=True)
    with pytest.raises(UserError) as reported:
        unpack(box, tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box.zip", "here"]
    return str(reported.value)


WEIGHTS = "artifacts/segmenter/deeplab-0123456789/weights.safetensors"


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/tmp/outside.json",
        "artifacts/segmenter/deeplab-0123456789/../../../../outside.json",
        "artifacts\\..\\outside.json",
        "C:/outside.json",
        "artifacts/segmenter/deeplab-0123456789/.hidden/a.json",
        "artifacts/segmenter/deeplab-0123456789/run.py",
        "artifacts/segmenter/deeplab-0123456789/weights.pkl",
        "artifacts/segmenter/deeplab-0123456789/weights.pth",
        "artifacts/segmenter/deeplab-0123456789/page.html",
        "artifacts/segmenter/deeplab/weights.safetensors",
        "artifacts/nothing/deeplab-0123456789/weights.safetensors",
        "artifacts//segmenter/deeplab-0123456789/a.json",
        "needed/profiles/default/config.yaml",
        "needed/Snakefile",
        "needed/../a.txt",
        "Snakefile",
        "config.yaml/a.json",
        "other.json",
        "a\nb.json",
    ],
)
def test_names_that_no_box_has(tmp_path, name):
    with pytest.raises(UserError):
        check_name(name)
    assert "nothing was written" in refused(tmp_path, box_of(tmp_path / "box.zip", {name: b"x"}))


@pytest.mark.parametrize("name", [WEIGHTS, "needed/lists/train.txt", "box.json", "README.md", "overview.png"])
def test_names_that_a_box_has(name):
    check_name(name)


def test_files_elsewhere_are_not_packed():
    assert can_be_packed("lists/train.txt") and can_be_packed("weights/a.safetensors")
    for path in ("/data/list.txt", "../list.txt", "a/../list.txt", "list.lst", ".hidden/list.txt"):
        assert not can_be_packed(path)


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755, stat.S_IFIFO | 0o644]
)
def test_links_folders_and_programs(tmp_path, mode):
    box = box_of(tmp_path / "box.zip", {WEIGHTS: b"/etc/passwd"}, mode=mode)
    assert "is a link, a folder or a program" in refused(tmp_path, box)


def test_what_grows_when_it_is_unpacked(tmp_path):
    box = box_of(tmp_path / "box.zip", {WEIGHTS: bytes(10**7)}, compression=zipfile.ZIP_DEFLATED)
    assert box.stat().st_size < 10**5
    assert "is compressed" in refused(tmp_path, box)


def test_a_file_twice(tmp_path):
    box = box_of(tmp_path / "box.zip", {WEIGHTS: b"one"})
    with zipfile.ZipFile(box, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(WEIGHTS, b"two")
    assert "twice" in refused(tmp_path, box)


def test_files_that_the_description_does_not_list(tmp_path):
    box = box_of(tmp_path / "box.zip", {WEIGHTS: b"one"}, {"files": {}})
    assert "other files than its box.json lists" in refused(tmp_path, box)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"format": "other"}, "is not a box"),
        ({"version": 2}, "box of version 2; this program reads 1"),
        ({"files": 3}, "is damaged"),
        ({"files": {"config.yaml": 3}}, "is damaged"),
    ],
)
def test_other_descriptions(tmp_path, description, said):
    assert said in refused(tmp_path, box_of(tmp_path / "box.zip", {}, description))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"PK\x05\x06" + bytes(18), b"no archive" * 100])
def test_no_archive(tmp_path, content):
    (tmp_path / "box.zip").write_bytes(content)
    assert "is not a box" in refused(tmp_path, tmp_path / "box.zip")


def test_a_box_cut_short(tmp_path):
    box = box_of(tmp_path / "box.zip", {WEIGHTS: b"one" * 1000})
    box.write_bytes(box.read_bytes()[:-300])
    assert "is not a box, or is damaged" in refused(tmp_path, box)


def test_a_program_that_the_settings_name_is_asked_for(tmp_path):
    settings = SETTINGS + b"extensions: [mine.py]\n"
    box = box_of(tmp_path / "box.zip", {"config.yaml": settings}, {"extensions": {"mine.py": "0" * 64}})
    assert "needs the program 'mine.py', which no box contains" in refused(tmp_path, box)
