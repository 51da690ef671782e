"""Snakemake's own report of a finished run: made without a network, with captions and categories."""

import re
import zipfile

import pytest

pytestmark = pytest.mark.xdist_group("finished")


def test_snakemakes_report_is_made_offline(finished, tmp_path, monkeypatch):
    for variable in ("http_proxy", "https_proxy"):  # where nobody answers
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    finished.run("--report", str(tmp_path / "report.zip"))
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        page = min((name for name in report.namelist() if name.endswith("report.html")), key=len)  # the outermost
        text = report.read(page).decode()
        sizes = {name: report.getinfo(name).file_size for name in report.namelist()}
    for category in ("Summary", "Scores"):
        assert f'"{category}"' in text
    for stage in ("classifier", "cams", "walked_cams", "refined_seeds", "pseudo_labels", "predictions"):
        assert f'"{stage}"' in text
    for what in ("table of scores", "page about the run", "overview of images and maps"):
        assert f'"{what}"' in text
    for caption in (
        "Scores of all experiments on",
        "The page about the run, one file",
        "A training image of each class",
    ):
        assert caption in re.sub(r"\\n|\s+", " ", text)
    assert "experiments cam, advcam, full" in re.sub(r"\\n|\s+", " ", text)
    assert (finished.results / "report.html").stat().st_size in sizes.values()
    assert finished.planned() == {}
