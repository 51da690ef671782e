"""Tests of ``wsss_core.datasets.coco.json_records``."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss_core.datasets.coco import json_records
from wsss_core.datasets.coco.json_records import JsonRecords
from wsss_core.errors import UserError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(
    content=st.dictionaries(st.text(max_size=5), VALUES, max_size=5),
    ascii=st.booleans(),
    indent=st.sampled_from([None, 1]),
    mark=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_any_object_comes_back_whatever_the_chunks(tmp_path, monkeypatch, content, ascii, indent, mark, chunk):
    monkeypatch.setattr(json_records, "CHUNK", chunk)
    path = tmp_path / "any.json"
    text = json.dumps(content, ensure_ascii=ascii, indent=indent) + " \n"
    try:
        path.write_text(text, encoding="utf-8-sig" if mark else "utf-8")
    except UnicodeEncodeError:  # half a pair of surrogates is no text
        return
    records = JsonRecords(path)
    read: dict = {}
    for record in records:
        with open(path, "rb") as file:
            file.seek(record.offset)
            assert json.loads(file.read(record.length).decode("utf-8")) == record.value
        if record.member in records.arrays:
            read.setdefault(record.member, []).append(record.value)
        else:
            read[record.member] = record.value
    assert records.arrays == {name for name, value in content.items() if isinstance(value, list)}
    assert {**{name: [] for name in records.arrays}, **read} == content


@given(cut=st.integers(0, 10**6), chunk=st.integers(1, 40))
def test_a_file_cut_anywhere_is_reported(tmp_path, monkeypatch, cut, chunk):
    monkeypatch.setattr(json_records, "CHUNK", chunk)
    whole = json.dumps({"a": [{"b": [1.25, -3e5, True, None]}, 'té"xt'], "c": 125, "d": {}}).encode()
    path = tmp_path / "cut.json"
    path.write_bytes(whole[: cut % len(whole)])
    with pytest.raises(UserError, match=r"cut\.json: ends too early: it is truncated \(at byte \d+\); copy"):
        list(JsonRecords(path))


def test_a_fault_is_reported_with_its_byte(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('{"a": [' + "1, " * 5 + "x]}")
    with pytest.raises(UserError, match=r"bad\.json: is not JSON \(Expecting value\) \(at byte 22\)"):
        list(JsonRecords(path))


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"no\.json: cannot be read \(No such file"):
        list(JsonRecords(tmp_path / "no.json"))


def test_progress_is_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"a": ["x" * 100] * 30000}))
    assert len(list(JsonRecords(path))) == 30000
    assert "Reading large.json: 3 of 3 MiB" in caplog.text
