import pandas
import pytest

from wsss_core.report.summary import summarise


def scores(path, **rows):
    pandas.DataFrame(rows).to_csv(path, index=False)
    return str(path)


@pytest.fixture
def experiments(tmp_path):
    seed = scores(tmp_path / "seed.csv", threshold=[0.1, 0.2, 0.3], miou=[0.2, 0.5, 0.4])
    val = scores(tmp_path / "val.csv", miou=[0.625])
    return {
        "weak": {"labels": "pseudo", "threshold": 0.3, "scores": {"seed": seed, "val": val}},
        "full": {"labels": "masks", "threshold": None, "scores": {"val": val}},
    }


def summary_of(experiments, tmp_path):
    table = summarise("mine", experiments, tmp_path / "s.csv", tmp_path / "s.md")
    return table.set_index("experiment"), (tmp_path / "s.md").read_text()


def test_the_seed_is_scored_at_its_fixed_threshold_beside_the_oracle(experiments, tmp_path):
    table, text = summary_of(experiments, tmp_path)
    assert table.loc["weak", "seed"] == pytest.approx(40) and table.loc["weak", "seed_threshold"] == 0.3
    assert table.loc["weak", "seed_oracle"] == pytest.approx(50) and table.loc["weak", "seed_oracle_threshold"] == 0.2
    assert table.loc["weak", "val"] == pytest.approx(62.5) and pandas.isna(table.loc["weak", "pseudo_labels"])
    assert pandas.isna(table.loc["full", "seed"])
    assert "| 40.0 | 0.30 " in text.replace("  ", " ") and "an oracle" in text and "not weak supervision" in text


def test_the_csv_holds_the_same_figures(experiments, tmp_path):
    table, _ = summary_of(experiments, tmp_path)
    read = pandas.read_csv(tmp_path / "s.csv").set_index("experiment")
    pandas.testing.assert_frame_equal(read, table, check_dtype=False)


def test_without_masks_there_is_nothing_to_score(experiments, tmp_path):
    empty = scores(tmp_path / "seed.csv", threshold=[0.1, 0.2], miou=[None, None])
    experiments = {"weak": {"labels": "pseudo", "threshold": 0.1, "scores": {"seed": empty}}}
    table, text = summary_of(experiments, tmp_path)
    assert pandas.isna(table.loc["weak", "seed"])
    assert "nothing to score against" in text
