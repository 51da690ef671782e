from dataclasses import replace

import numpy as np
import pandas
import pytest

from wsss_core.errors import UserError
from wsss_core.report.climb_scores import report_climb_scores, step_charts, steps_table
from wsss_core.report.make_report import make_report

from .run_tree import made_run

FIXED = {"fixed": 0.4, "file": None, "source": "fixed"}


def made_scores(folder, name, steps=3, empty=False):
    """Scores whose best threshold rises with the steps, from 0.3 on; a region that grows, and one without pixels."""
    rows = [
        {
            "steps": t,
            "threshold": k / 10,
            "miou": None if empty else 0.4 + t / 100 - abs(k - 2 - t) / 20,
            "iou_cat": 0.5,
        }
        for t in range(1, steps + 1)
        for k in range(10)
    ]
    grown = [
        {
            "step": t,
            "grown_discriminative": (t - 1) / 10,
            "grown_other": None,
            "ratio_discriminative": t,
            "ratio_other": None,
        }
        for t in range(1, steps + 1)
    ]
    files = {"scores": folder / f"{name}.csv", "amplification": folder / f"{name}_grown.csv"}
    pandas.DataFrame(rows).to_csv(files["scores"], index=False)
    pandas.DataFrame(grown).to_csv(files["amplification"], index=False)
    return {**{kind: str(file) for kind, file in files.items()}, "threshold": FIXED}


def test_a_row_has_the_seed_at_its_own_and_at_the_best_threshold(tmp_path):
    table = steps_table(made_scores(tmp_path, "advcam"))
    assert table["steps"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["best_threshold"], [0.3, 0.4, 0.5])
    np.testing.assert_allclose(table["seed_oracle"], [41, 42, 43])
    np.testing.assert_allclose(table["seed"], [36, 42, 38])
    np.testing.assert_allclose(table["grown_discriminative"], [0, 10, 20])
    np.testing.assert_allclose(table["ratio_discriminative"], [1, 2, 3])
    assert table["grown_other"].isna().all()


def test_one_table_and_one_plot_of_all(tmp_path):
    scored = {name: made_scores(tmp_path, name) for name in ("with", "without")}
    table = report_climb_scores("pets", scored, tmp_path / "table.csv", tmp_path / "plot.png")
    written = pandas.read_csv(tmp_path / "table.csv")
    assert written["cams"].tolist() == ["with"] * 3 + ["without"] * 3 == table["cams"].tolist()
    assert (tmp_path / "plot.png").stat().st_size > 5_000


def test_without_scored_images_the_table_is_empty_and_the_plot_too(tmp_path):
    table = report_climb_scores(
        "pets", {"advcam": made_scores(tmp_path, "a", empty=True)}, tmp_path / "table.csv", tmp_path / "plot.png"
    )
    assert table["seed"].isna().all() and table["seed_oracle"].isna().all()


def test_the_page_shows_them(tmp_path):
    run = made_run(tmp_path)
    make_report(replace(run, climb_scores={"advcam": made_scores(tmp_path, "steps")}), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert 'id="steps"' in text and "advcam: seed at its best threshold" in text and "climb_scores.csv" in text
    assert step_charts({}) is None


def test_a_table_of_something_else_is_refused(tmp_path):
    described = made_scores(tmp_path, "advcam")
    pandas.read_csv(described["scores"]).drop(columns="steps").to_csv(described["scores"], index=False)
    with pytest.raises(UserError, match=r"advcam\.csv.*no column 'steps'"):
        steps_table(described)
    described = made_scores(tmp_path, "advcam")
    pandas.read_csv(described["amplification"]).head(2).to_csv(described["amplification"], index=False)
    with pytest.raises(UserError, match="'grown_discriminative' does not have 3 steps"):
        steps_table(described)
