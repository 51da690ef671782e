import json

import pandas
import pytest

from wsss_core.config.background import PseudoLabelBackground
from wsss_core.report.summary import summarise


def scores(path, **rows):
    pandas.DataFrame(rows).to_csv(path, index=False)
    return str(path)


def fixed(threshold, **more):
    return {"fixed": threshold, "file": None, "source": "fixed", **more}


@pytest.fixture
def experiments(tmp_path):
    curve = {"threshold": [0.1, 0.2, 0.3], "miou": [0.2, 0.5, 0.4]}
    seed, walk = scores(tmp_path / "seed.csv", **curve), scores(tmp_path / "walk.csv", **curve)
    pseudo = scores(
        tmp_path / "pseudo.csv", background=["0.20 (fixed)"], crf=["yes"], without_label=["none"], miou=[0.55]
    )
    val = scores(tmp_path / "val.csv", seen_at=["scales 1"], crf=["no"], miou=[0.625])
    weak = {"seed": seed, "walk": walk, "pseudo_labels": pseudo, "val": val}
    return {
        "weak": {"labels": "pseudo", "seed_threshold": fixed(0.3), "walk_threshold": fixed(0.2), "scores": weak},
        "full": {"labels": "masks", "seed_threshold": None, "walk_threshold": None, "scores": {"val": val}},
    }


def summary_of(experiments, tmp_path):
    table = summarise("mine", experiments, tmp_path / "s.csv", tmp_path / "s.md")
    return table.set_index("experiment"), " ".join((tmp_path / "s.md").read_text().split())


def test_the_seed_is_scored_at_its_fixed_threshold_beside_the_oracle(experiments, tmp_path):
    table, text = summary_of(experiments, tmp_path)
    weak = table.loc["weak"]
    assert weak["seed"] == pytest.approx(40) and weak["seed_threshold"] == "0.30 (fixed)"
    assert weak["seed_oracle"] == pytest.approx(50) and weak["seed_oracle_threshold"] == "0.20"
    assert weak["walk"] == pytest.approx(50) and weak["pseudo_labels"] == pytest.approx(55)
    assert weak["val"] == pytest.approx(62.5) and pandas.isna(weak["refined_seed"])
    assert pandas.isna(table.loc["full", "seed"])
    assert "| weak | pseudo | 40.0 | 50.0 | – | 50.0 | 55.0 | 62.5 |" in text
    assert "| weak | 0.30 (fixed) | 0.20 | – | 0.20 (fixed) | yes | none | scales 1 | no |" in text
    assert "an oracle." in text and "not weak supervision" in text and "†" not in text


def test_a_chosen_threshold_is_read_and_its_source_told(experiments, tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"threshold": 0.1, "source": "best on train: an oracle"}))
    chosen = {"fixed": None, "file": str(tmp_path / "t.json"), "source": "best on train: an oracle"}
    experiments["weak"]["seed_threshold"] = chosen
    experiments["weak"]["walk_threshold"] = {**chosen, "times": 3}
    table, text = summary_of(experiments, tmp_path)
    assert table.loc["weak", "seed"] == pytest.approx(20) and table.loc["weak", "walk"] == pytest.approx(40)
    assert "| 0.10 (best on train: an oracle) |" in text and "| weak † |" in text


@pytest.mark.parametrize(("seed", "times"), [(0.3, 0.65), (0.35, 0.5), (0.01, 0.3), (0.6, 2), (0.41, 1)])
def test_the_walk_is_scored_where_its_labels_are_made(seed, times, experiments, tmp_path):
    hundredths = [step / 100 for step in range(100)]
    walked = scores(tmp_path / "walked.csv", threshold=hundredths, miou=hundredths)
    experiments["weak"]["scores"]["walk"] = walked
    experiments["weak"]["walk_threshold"] = {**fixed(seed), "times": times}
    labels_at = PseudoLabelBackground(times_seed_threshold=times).resolved(seed, None).threshold
    assert summary_of(experiments, tmp_path)[0].loc["weak", "walk"] == pytest.approx(100 * labels_at)


def test_a_list_called_oracle_is_none(experiments, tmp_path):
    source = "best on the images of oracle.txt"
    experiments["weak"]["seed_threshold"] = {**fixed(0.3), "source": source}
    _, text = summary_of(experiments, tmp_path)
    assert source in text and "†" not in text


def test_a_background_that_walked_along_needs_no_threshold(experiments, tmp_path):
    experiments["weak"]["scores"]["walk"] = scores(tmp_path / "walked.csv", threshold=[None], miou=[0.61])
    experiments["weak"]["walk_threshold"] = None
    assert summary_of(experiments, tmp_path)[0].loc["weak", "walk"] == pytest.approx(61)


def test_the_csv_holds_the_same_figures(experiments, tmp_path):
    table, _ = summary_of(experiments, tmp_path)
    read = pandas.read_csv(tmp_path / "s.csv", dtype={"seed_oracle_threshold": str}).set_index("experiment")
    pandas.testing.assert_frame_equal(read, table, check_dtype=False)


def test_without_masks_there_is_nothing_to_score(tmp_path):
    empty = scores(tmp_path / "seed.csv", threshold=[0.1, 0.2], miou=[None, None])
    weak = {"labels": "pseudo", "seed_threshold": fixed(0.1), "walk_threshold": None, "scores": {"seed": empty}}
    table, text = summary_of({"weak": weak}, tmp_path)
    assert pandas.isna(table.loc["weak", "seed"])
    assert "nothing to score against" in text and "Where the background begins" not in text


def test_the_upper_bound_can_stand_alone(experiments, tmp_path):
    _, text = summary_of({"full": experiments["full"]}, tmp_path)
    assert "| full | masks |" in text


def test_an_oracle_behind_the_pseudo_labels_is_marked(experiments, tmp_path):
    experiments["weak"]["scores"]["pseudo_labels"] = scores(
        tmp_path / "oracle.csv", background=["0.31 (best on train: an oracle)"], crf=["no"], miou=[0.6]
    )
    _, text = summary_of(experiments, tmp_path)
    assert "| weak † |" in text and "† A threshold of this experiment was chosen so" in text
