"""What a finished run says on the terminal."""

from types import SimpleNamespace

import pytest

from wsss_core.report import last_words as module
from wsss_core.report.last_words import last_words

SUMMARY = """# mine: what each step was worth (mIoU, %)

**Warning**: the classifier has learned little

| experiment | seed | DeepLab, val |
|---|---|---|
| cam | 56.0 | 64.8 |
| advcam_sharp | – | 6.7 |

Notes.

| another | table |
|---|---|
| a | b |
"""


class Made:
    """A plan whose files are there."""

    def __init__(self, folder, experiments):
        self.folder, self.experiments = folder, experiments
        self.dataset = SimpleNamespace(path=lambda name: folder / name)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    (tmp_path / "summary.md").write_text(SUMMARY, encoding="utf-8")
    index = SimpleNamespace(split=lambda name: SimpleNamespace(image_ids=["summer trip/Köln 1"]))
    monkeypatch.setattr(module, "read_index", lambda *files: index)
    return lambda experiments: Made(tmp_path, experiments)


def test_the_table_stands_in_columns_under_its_warnings(plan):
    lines = last_words(plan({"cam": {"cams": 1, "segmenter": 1}}), []).splitlines()
    assert lines[1:7] == [
        "Warning: the classifier has learned little",
        "mine: what each step was worth (mIoU, %)",
        "",
        "experiment    seed  DeepLab, val",
        "cam           56.0  64.8",
        "advcam_sharp  –     6.7",
    ]
    assert not any("|" in line for line in lines) and "another" not in "\n".join(lines)


def test_the_next_commands_can_be_pasted(plan, tmp_path):
    text = last_words(plan({"bound": {"segmenter": 1}, "cam": {"cams": 1}}), ["my sets/a.yaml"])
    assert f"The report: {tmp_path / 'report.html'}" in text
    assert "python -m wsss_core show cams 'summer trip/Köln 1' --configfile 'my sets/a.yaml'\n" in text
    segment = "python -m wsss_core segment --experiment bound --configfile 'my sets/a.yaml' IMAGES --out labelled\n"
    assert segment in text
    assert text.endswith("docs/first_hour.md")


def test_what_was_not_made_is_not_suggested(plan):
    text = last_words(plan({"cam": {"cams": 1}}), [])
    assert "segment" not in text and "show cams" in text
    text = last_words(plan({"bound": {"segmenter": 1}}), [])
    assert "show cams" not in text
