"""What files are, by their first bytes."""

import pytest

from wsss_core.files.file_kinds import file_kind, no_weights, stand_in


@pytest.mark.parametrize(
    "content, reported",
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "an AVIF image"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video (MP4"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a drawing in PostScript (EPS)"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'>", "a drawing in SVG"),
        (b"\xef\xbb\xbf\n<!-- 404 --><HTML lang='en'>", "a web page (HTML)"),
        (b"<!DOCTYPE html>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "XML (<Error>)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
        (b"../../.git/annex/objects/xx/yy", "a pointer of git-annex"),
        (b"/annex/objects/SHA256E-s1--00.jpg\n", "a pointer of git-annex"),
        (b"", "empty"),
        (bytes(5000), "filled with zeros"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"BMW and others", "text that begins with 'BMW and others'"),
        ("ä".encode() * 4000, "text that begins with 'ää"),
        (b"a" + "ä".encode() * 4000, "text that begins with 'aä"),
    ],
)
def test_a_file_is_reported_by_its_first_bytes(tmp_path, content, reported):
    (tmp_path / "a.jpg").write_bytes(content)
    assert file_kind(tmp_path / "a.jpg").what.startswith(reported)


@pytest.mark.parametrize("content", [b"\x80\x02}q\x00.", bytes(range(255, 100, -1)), b"caf\xe9"])
def test_nothing_is_said_of_bytes_that_mean_nothing(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    assert file_kind(tmp_path / "a.bin") is None


def test_nothing_is_said_of_what_cannot_be_opened(tmp_path):
    assert file_kind(tmp_path / "none") is None and file_kind(tmp_path) is None


def test_a_damaged_archive_may_be_weights_and_a_web_page_stands_in_for_anything(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x03\x04 cut")
    assert no_weights(tmp_path / "a") is None and stand_in(tmp_path / "a") is None
    (tmp_path / "a").write_bytes(b"<html>")
    assert no_weights(tmp_path / "a").endswith("copy or download it again")
    assert stand_in(tmp_path / "a").startswith("is a web page (HTML)")
    (tmp_path / "a").write_bytes(b"image,label\n")
    assert stand_in(tmp_path / "a") is None
