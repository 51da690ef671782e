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


def parts(folder) -> FolderTree:
    """100 images of parts, every second one bad; good ones have an empty label."""
    tree = FolderTree(folder / "parts")
    (tree.root / "masks").mkdir()
    labels, splits = {}, {}
    for number in range(100):
        name, is_bad = f"{number:03}.png", number % 2 == 1
        image, mask = drawn(number, is_bad)
        Image.fromarray(image).save(tree.root / "images" / name)
        tree.mask(name, mask)
        labels[name] = ["defect"] if is_bad else []
        splits[name] = "train" if number < 80 else "val"
    return tree.labels(labels).splits(splits)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("negatives")
    workflow = Workflow(folder, small_demo(*METHODS))
    config = workflow.config
    config["dataset"] = {"name": "parts", "format": "folder", "root": str(parts(folder).root)}
    for name in METHODS:
        config["experiments"][name] = {"cams": name}
        config["cams"][name]["threshold"] = {"rule": "mean_and_deviation"}
    config["experiments"]["cam"] = {"cams": "cam", "affinity": "irn", "segmenter": "deeplab"}
    config["experiments"]["advcam"] = {"cams": "advcam", "affinity": "affinitynet"}
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
