import numpy as np
import pandas
import pytest

from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.report.corrections import corrections


@pytest.fixture
def described(tmp_path):
    for folder, value in (("masks", 1), ("pseudo", 0)):
        labels = np.full((2, 5), value, np.uint8)
        labels[0, 0] = 255 if folder == "masks" else 2
        labels[1, 1] = 0
        write_label_map(tmp_path / folder / "one.png", labels)
        write_label_manifest({"one": tmp_path / folder / "one.png"}, tmp_path / f"{folder}.csv")
    for name, miou, cat in (("before", 0.5, 0.25), ("after", 0.625, 0.75)):
        row = {"miou": [miou], "iou_cat": [cat], "iou_dog": [None], "split": ["val"]}
        pandas.DataFrame(row).to_csv(tmp_path / f"{name}.csv", index=False)
    return {
        "experiment": "corrected",
        "folder": "corrected",
        "masks": str(tmp_path / "masks.csv"),
        "pseudo_labels": [str(tmp_path / "pseudo.csv")],
        "without": "cam",
        "scores": str(tmp_path / "after.csv"),
        "scores_without": str(tmp_path / "before.csv"),
    }


def test_what_the_corrections_changed_and_were_worth(described):
    (found,) = corrections([described])
    assert (found.experiment, found.masks, found.without) == ("corrected", 1, "cam")
    assert found.changed == pytest.approx(100 * 8 / 9)  # one of ten pixels does not count, one is the same
    assert list(found.scores) == [("mIoU", 50, 62.5), ("cat", 25, 75)]


def test_without_scores_pseudo_labels_or_another_experiment(described):
    (found,) = corrections([{**described, "without": None, "scores_without": None, "pseudo_labels": []}])
    assert (found.changed, found.without, list(found.scores)) == (None, None, [])
