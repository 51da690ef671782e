import re

import pandas
import pytest
from PIL import Image

from wsss_core.report import sweep
from wsss_core.report.sweep import report_sweep


def point(folder, number, best, **values):
    curve = pandas.DataFrame({"threshold": [0.1, 0.2, 0.3], "miou": [best - 0.2, best, best - 0.1]})
    curve.to_csv(folder / f"{number}.csv", index=False)
    described = {
        "labels": "pseudo",
        "seed_threshold": {"fixed": 0.3, "file": None, "source": "fixed"},
        "walk_threshold": None,
        "published": None,
        "scores": {"seed": str(folder / f"{number}.csv")},
    }
    keys = {f"cams.advcam.{key}": value for key, value in values.items()}
    return {"name": f"s-{number}", "values": keys, "described": described}


@pytest.fixture
def reported(tmp_path, monkeypatch):
    """A function that reports points: the table, the text on one line, and the lines that were drawn."""
    drawn = {}

    def close(figure):
        for axis in figure.axes:
            lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines}
            drawn[axis.get_title()] = lines
            drawn["ticks"] = [label.get_text() for label in axis.get_xticklabels()]

    monkeypatch.setattr(sweep.pyplot, "close", close)

    def report(points):
        paths = (tmp_path / "table.csv", tmp_path / "table.md", tmp_path / "plot.png")
        table = report_sweep("mine, sweep s", points, *paths)
        assert Image.open(paths[2]).width > 300
        return table, " ".join(paths[1].read_text().split()), drawn

    return report


def test_two_keys_are_an_axis_and_a_line_per_value_of_the_second(reported, tmp_path):
    grid = [(10, 0, 0.5), (10, 7, 0.6), (5, 0, 0.4), (5, 7, 0.7)]
    points = [point(tmp_path, i, best, steps=s, regularisation=r) for i, (s, r, best) in enumerate(grid)]
    table, text, drawn = reported(points)
    assert list(table["cams.advcam.steps"]) == ["10", "10", "5", "5"]
    assert "| steps | regularisation | seed | seed at its best threshold* |" in text
    assert "| 10 | 7 | 50.0 | 60.0 |" in text
    assert re.search(r"\| 10 \| 7 \| seed \| 50.0 \|[^0-9]*\| 0.30 \(fixed\) \|", text), text
    assert "walk |" not in text and "DeepLab, val |" not in text  # stages that the experiment does not reach
    assert "`steps` is `cams.advcam.steps`; `regularisation` is" in text and "](plot.png)" in text
    assert drawn["seed at its best threshold"]["regularisation 7"] == ([5, 10], pytest.approx([70, 60]))
    assert drawn["seed"]["regularisation 0"] == ([5, 10], pytest.approx([30, 40]))
    assert drawn["ticks"] == ["5", "10"]
    read = pandas.read_csv(tmp_path / "table.csv")
    assert list(read["cams.advcam.regularisation"]) == [0, 7, 0, 7] and read["experiment"][0] == "s-0"
    assert read["seed"].tolist() == pytest.approx([40, 50, 30, 60])


def test_one_key_is_an_axis_with_a_line_per_score(reported, tmp_path):
    points = [point(tmp_path, i, best, steps=steps) for i, (steps, best) in enumerate([(1, 0.4), (2, 0.5)])]
    _, _, drawn = reported(points)
    assert drawn[""] == {
        "seed": ([1, 2], pytest.approx([30, 40])),
        "seed at its best threshold": ([1, 2], pytest.approx([40, 50])),
    }


def test_values_that_are_no_numbers_stand_side_by_side(reported, tmp_path):
    values = [None, "ordinary", {"best_on": "train"}]
    points = [point(tmp_path, i, 0.5, threshold=value) for i, value in enumerate(values)]
    _, text, drawn = reported(points)
    assert drawn[""]["seed"][0] == [0, 1, 2] and drawn["ticks"] == ["null", "ordinary", '{"best_on": "train"}']
    assert '| {"best_on": "train"} | 40.0 |' in text


def test_a_third_key_makes_a_line_of_each_combination(reported, tmp_path):
    grid = [(s, r, m) for s in (1, 2) for r in (0, 1) for m in (0.4, 0.5)]
    points = [point(tmp_path, i, 0.5, steps=s, regularisation=r, mask_threshold=m) for i, (s, r, m) in enumerate(grid)]
    assert set(reported(points)[2]["seed"]) == {
        *("regularisation 0, mask_threshold 0.4", "regularisation 0, mask_threshold 0.5"),
        *("regularisation 1, mask_threshold 0.4", "regularisation 1, mask_threshold 0.5"),
    }


def test_an_oracle_is_marked(reported, tmp_path):
    points = [point(tmp_path, i, 0.5, steps=i) for i in (1, 2)]
    points[1]["described"]["seed_threshold"] = {"fixed": 0.2, "file": None, "source": "best on train: an oracle"}
    text = reported(points)[1]
    assert "| 2 † | 50.0 |" in text and "| 1 | 40.0 |" in text and "not purely weak supervision" in text
