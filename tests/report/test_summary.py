import json
import re

import pandas
import pytest

from wsss_core.config.background import PseudoLabelBackground
from wsss_core.errors import UserError
from wsss_core.report.summary import summarise

from .run_tree import judged


def scores(path, **rows):
    pandas.DataFrame(rows).to_csv(path, index=False)
    return str(path)


def fixed(threshold, **more):
    return {"fixed": threshold, "file": None, "source": "fixed", **more}


def described(labels, scores, seed_threshold=None, walk_threshold=None, published=None):
    return {
        "labels": labels,
        "seed_threshold": seed_threshold,
        "walk_threshold": walk_threshold,
        "published": published,
        "scores": scores,
    }


SAID = ("split", "background", "seen_at", "crf", "labels", "initialisation")
AS_SCORED = "as the scores say"
VAL_SAID = {
    "split": ["val"],
    "background": ["its labels': 0.20 (fixed)"],
    "seen_at": ["scales 1"],
    "crf": ["no"],
    "labels": ["pseudo labels"],
    "initialisation": ["ImageNet, COCO"],
}


@pytest.fixture
def experiments(tmp_path):
    curve = {"threshold": [0.1, 0.2, 0.3], "miou": [0.2, 0.5, 0.4], **dict.fromkeys(SAID, [AS_SCORED] * 3)}
    seed, walk = scores(tmp_path / "seed.csv", **curve), scores(tmp_path / "walk.csv", **curve)
    pseudo = scores(
        tmp_path / "pseudo.csv", background=["0.20 (fixed)"], crf=["yes"], without_label=["none"], miou=[0.55]
    )
    val = scores(tmp_path / "val.csv", **VAL_SAID, miou=[0.625], precision=[0.7], boundary_f=[0.31])
    weak = {"seed": seed, "walk": walk, "pseudo_labels": pseudo, "val": val}
    return {
        "weak": described("pseudo", weak, fixed(0.3), fixed(0.2)),
        "full": described("masks", {"val": val}),
    }


def summary_of(experiments, tmp_path, classifiers=()):
    table = summarise("mine", experiments, tmp_path / "s.csv", tmp_path / "s.md", classifiers)
    return table.set_index("experiment"), " ".join((tmp_path / "s.md").read_text().split())


def test_the_seed_is_scored_at_its_fixed_threshold_next_to_the_oracle(experiments, tmp_path):
    table, text = summary_of(experiments, tmp_path)
    weak = table.loc["weak"]
    assert weak["seed"] == pytest.approx(40) and weak["seed_background"] == "0.30 (fixed)"
    assert weak["seed_oracle"] == pytest.approx(50) and weak["seed_oracle_background"].startswith("0.20 (")
    assert weak["walk"] == pytest.approx(50) and weak["pseudo_labels"] == pytest.approx(55)
    assert weak["val"] == pytest.approx(62.5) and pandas.isna(weak["refined_seed"])
    assert pandas.isna(table.loc["full", "seed"])
    assert "| weak | pseudo | 40.0 | 50.0 | – | 50.0 | 55.0 | 62.5 |" in text
    assert "an oracle." in text and "not weak supervision" in text and "†" not in text


def test_a_chosen_threshold_is_read_and_its_source_reported(experiments, tmp_path):
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


def test_labels_made_with_saliency_maps_are_marked(experiments, tmp_path):
    assert "§" not in summary_of(experiments, tmp_path)[1]
    at = tmp_path / "predictions.csv"
    scores(at, miou=[0.5], labels=["pseudo labels cam-saliency, saliency maps"])
    experiments["weak"]["scores"]["val"] = at
    text = summary_of(experiments, tmp_path)[1]
    assert "| weak § |" in text and "§ Labels were made with saliency maps" in text and "full §" not in text


def test_guesses_are_marked_and_listed(experiments, tmp_path):
    assert "‡" not in summary_of(experiments, tmp_path)[1]
    guesses = ["classifiers.cgnet.optimisation.epochs: 5", "segmenters.deeplab.optimisation"]
    experiments["weak"]["guessed"] = guesses
    table, text = summary_of(experiments, tmp_path)
    assert table.loc["weak", "guessed"] == "; ".join(guesses) and pandas.isna(table.loc["full", "guessed"])
    assert f"‡ Guessed, as nobody has published it (in weak): {'; '.join(guesses)}." in text
    rows = re.findall(r"\| weak ‡", text)
    assert len(rows) == 1 + 5 and "full ‡" not in text  # in the table of figures, and with the conditions of each
    experiments["full"]["guessed"] = guesses
    assert f"‡ Guessed, as nobody has published it: {'; '.join(guesses)}." in summary_of(experiments, tmp_path)[1]


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
    read = pandas.read_csv(tmp_path / "s.csv").set_index("experiment")
    pandas.testing.assert_frame_equal(read, table, check_dtype=False)


def test_without_masks_there_is_nothing_to_score(tmp_path):
    empty = scores(tmp_path / "seed.csv", threshold=[0.1, 0.2], miou=[None, None])
    weak = described("pseudo", {"seed": empty}, fixed(0.1), published=PUBLISHED)
    table, text = summary_of({"weak": weak}, tmp_path)
    assert pandas.isna(table.loc["weak", "seed"])
    assert "nothing to score against" in text and "its conditions" not in text
    assert "| weak | pseudo | – [55.6] | –" in text


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("learned", ["nothing", "little", "enough", "unknown"])
def test_the_summary_begins_with_a_classifier_that_learned_nothing(experiments, tmp_path, learned, masks):
    classifier = judged(tmp_path, learned)
    experiments["weak"]["classifier"] = classifier
    if not masks:
        experiments["weak"]["scores"], experiments["full"]["scores"] = {}, {}
    table, text = summary_of(experiments, tmp_path, [classifier])
    reported = f"**Warning**: classifier ordinary: the classifier has learned {learned}: mAP 81.2 %."
    assert (reported in text) == (learned in ("nothing", "little"))
    assert reported not in text or text.index(reported) < text.index("| experiment")
    assert re.search(r"\| ordinary +\| 81.2 \| 40.0 +\| 60.0 \| 70.0 +\| 55.0 +\| the classifier has", text)
    assert re.search(r"\| cat +\| 1 +\| 81.2 +\| 60.0 +\| \| <dog> & co \| 0 +\| – +\| – ", text)
    figures = table.loc["weak", ["classifier", "classifier_map", "classifier_map_by_chance", "classifier_f1"]]
    assert figures.tolist() == ["ordinary", pytest.approx(81.2), pytest.approx(40), pytest.approx(60)]
    assert table.loc["weak", "classifier_learned"] == learned and pandas.isna(table.loc["full", "classifier"])


def test_a_class_at_chance_is_warned_of(experiments, tmp_path):
    text = summary_of(experiments, tmp_path, [judged(tmp_path, at_chance=("cat",))])[1]
    assert "**Warning**: classifier ordinary" in text and "Class maps of these show little" not in text


def test_damaged_scores_of_a_classifier_are_reported(experiments, tmp_path):
    classifier = judged(tmp_path)
    for damaged in ("", "class,f1\n,0.5\n"):
        (tmp_path / "scores.csv").write_text(damaged)
        with pytest.raises(UserError, match=r"scores\.csv: (it is damaged|has no scores)"):
            summary_of(experiments, tmp_path, [classifier])


def test_the_upper_bound_can_stand_alone(experiments, tmp_path):
    _, text = summary_of({"full": experiments["full"]}, tmp_path)
    assert "| full | masks |" in text


def test_an_oracle_behind_the_pseudo_labels_is_marked(experiments, tmp_path):
    experiments["weak"]["scores"]["pseudo_labels"] = scores(
        tmp_path / "oracle.csv", background=["0.31 (best on train: an oracle)"], crf=["no"], miou=[0.6]
    )
    _, text = summary_of(experiments, tmp_path)
    assert "| weak † |" in text and "† A threshold was chosen with masks" in text


PUBLISHED = {"seed": 55.6, "pseudo_labels": None, "val": 68.1, "test": 68.0, "source": "AdvCAM, CVPR 2021"}


def test_published_figures_stand_next_to_those_that_came_out(experiments, tmp_path):
    experiments["weak"]["published"] = PUBLISHED
    table, text = summary_of(experiments, tmp_path)
    assert "| weak | pseudo | 40.0 [55.6] | 50.0 | – | 50.0 | 55.0 | 62.5 [68.1] |" in text
    assert "| full | masks | – | – | – | – | – | 62.5 |" in text
    assert "[ ] Published for weak: AdvCAM, CVPR 2021; VOC test 68.0, by its server." in text
    assert "| weak | DeepLab, val | 62.5 | 68.1 |" in text and "| weak | seed | 40.0 | 55.6 |" in text
    assert table.loc["weak", "test_published"] == 68 and pandas.isna(table.loc["full", "val_published"])


def test_every_figure_says_what_it_was_scored_under(experiments, tmp_path):
    table, text = summary_of(experiments, tmp_path)
    conditions = "val | its labels': 0.20 (fixed) | scales 1 | no | – | pseudo labels | ImageNet, COCO |"
    assert f"| weak | DeepLab, val | 62.5 | – | 70.0 | – | – | 31.0 | {conditions}" in text
    assert table.loc["full", "val_initialisation"] == "ImageNet, COCO"
    for figure in ("seed", "seed_oracle", "walk"):
        reported = table.loc["weak", [f"{figure}_{name}" for name in SAID]]
        assert (
            reported.drop(f"{figure}_background").eq(AS_SCORED).all() and reported[f"{figure}_background"] != AS_SCORED
        )


def test_a_multiple_of_the_seeds_threshold_is_reported(experiments, tmp_path):
    experiments["weak"]["walk_threshold"] = {**fixed(0.3), "times": 0.65}
    table, _ = summary_of(experiments, tmp_path)
    assert table.loc["weak", "walk_background"] == "0.20 = 0.65 x the seed's 0.30 (fixed)"
