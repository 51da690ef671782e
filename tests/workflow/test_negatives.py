"""Parts with a defect and good ones: one class, and images without it, go the whole way with every method."""

import numpy as np
import pandas
import pytest
from PIL import Image

from tests.datasets.folder_tree import FolderTree
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.files.cam_store import CamStoreReader

from .workflow import Workflow, small_demo

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("negatives")]
METHODS = ("cam", "advcam", "seenet", "cgnet", "aeft")
WITHIN = 0.03
"""How far scores may be from those of the same images with a named second class."""


def drawn(seed: int, is_bad: bool, side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """An image of grey noise, with a red spot if it is bad, and its mask."""
    random = np.random.default_rng(seed)
    image = random.integers(70, 180, (side, side, 3)).astype(np.uint8)
    mask = np.zeros((side, side), np.uint8)
    if is_bad:
        top, left = random.integers(2, side - 20, 2)
        mask[top : top + 17, left : left + 17] = 1
        image[mask == 1] = (220, 40, 40)
    return image, mask


def parts(folder, good: list[str]) -> FolderTree:
    """100 images of parts, every second one bad; good ones have the labels ``good``."""
    tree = FolderTree(folder / "parts")
    (tree.root / "masks").mkdir()
    labels, splits = {}, {}
    for number in range(100):
        name, is_bad = f"{number:03}.png", number % 2 == 1
        image, mask = drawn(number, is_bad)
        Image.fromarray(image).save(tree.root / "images" / name)
        tree.mask(name, mask)
        labels[name] = ["defect"] if is_bad else good
        splits[name] = "train" if number < 80 else "val"
    return tree.labels(labels).splits(splits)


def workflow_of(folder, good: list[str], methods=METHODS) -> Workflow:
    workflow = Workflow(folder, small_demo(*methods))
    config = workflow.config
    config["dataset"] = {"name": "parts", "format": "folder", "root": str(parts(folder, good).root)}
    for name in methods:
        config["experiments"][name] = {"cams": name}
        config["cams"][name]["threshold"] = {"rule": "mean_and_deviation"}
    config["experiments"]["cam"] = {"cams": "cam", "affinity": "irn", "segmenter": "deeplab"}
    return workflow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = workflow_of(tmp_path_factory.mktemp("negatives"), [])
    workflow.config["experiments"]["advcam"] = {"cams": "advcam", "affinity": "affinitynet"}
    workflow.run(seconds=2000)
    return workflow


def test_every_method_trains_on_good_parts_and_draws_no_map_of_them(finished):
    for name in METHODS:
        with CamStoreReader(sorted(finished.results.glob(f"cams/{name}-*/shards/*.h5"))) as cams:
            assert [len(cams.read(f"{number:03}").classes) for number in range(80)] == [0, 1] * 40
    figures = [pandas.read_csv(file) for file in finished.results.glob("classifier/*/scores.csv")]
    assert figures and all(table["average_precision"].iloc[0] > 0 for table in figures)


def test_labels_of_good_parts_are_background(finished):
    for stage in ("affinity_labels", "pseudo_labels", "refined_seeds"):
        for artifact in finished.results.glob(f"{stage}/*"):
            maps = read_label_manifest(sorted(artifact.glob("labels/*.csv")))
            assert len(maps) == 80
            assert all(set(np.unique(read_mask(maps[f"{number:03}"]))) <= {0, 255} for number in range(0, 80, 2))
    table = pandas.read_csv(finished.results / "summary.csv").set_index("experiment")
    assert not pandas.isna(table.loc["cam", "val"])
    assert (
        "images without any class: 40 of 80 train images"
        in next(finished.results.glob("dataset/*/dataset_report.html")).read_text()
    )


def test_scores_are_those_with_a_named_second_class(tmp_path):
    scores = []
    for number, good in enumerate(([], ["good"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        workflow = workflow_of(folder, good, ("cam",))
        for section, name in (("classifiers", "ordinary"), ("segmenters", "deeplab")):
            workflow.config[section][name]["optimisation"]["epochs"] = 8
        workflow.run(seconds=2000)
        for stage in ("seed_scores", "pseudo_label_scores"):
            assert not list(workflow.results.glob(stage))
        scores.append(
            {
                path.parent.parent.name + path.stem: pandas.read_csv(path)["iou_defect"].max()
                for path in workflow.results.rglob("scores.csv")
                if "iou_defect" in pandas.read_csv(path)
            }
        )
    assert scores[0].keys() == scores[1].keys()
    print(scores)
