"""From a folder of images and an imported checkpoint, by the workflow, to the authors' class maps in HDF5.

The workflow is one for both kinds of golden cases, the cheapest of each; ``test_irn_cam.py`` and
``test_advcam.py`` compare all of them.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.datasets.voc_tree import VocTree
from tests.parity.cases import Case
from tests.parity.imported import Imported
from tests.parity.test_advcam import EXACT
from tests.parity.test_irn_cam import MAPS
from tests.workflow.workflow import Workflow
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.files.cam_store import CamStoreReader, ImageCams

pytestmark = pytest.mark.xdist_group("advcam")


def cheapest(folder: Path, pattern: str) -> Case:
    """The case of the least work of those whose file names match."""
    cases = [Case(path) for path in sorted(folder.glob(pattern))]
    if not cases:
        pytest.skip(f"{folder} has no {pattern}")
    return min(cases, key=lambda case: case["image"].size * len(case["labels"]) * int(case.get("adv_iter", 1)))


def add(tree: VocTree, image_id: str, case: Case, split: str) -> str:
    """Put a case's image and labels into the data set; its id, which may be an earlier one of the same content."""
    image, names = case["image"], [VOC_CLASSES[k] for k in case["labels"]]
    for other in tree.lists[split]:
        objects = ElementTree.parse(tree.annotation(other)).findall("object/name")
        same = np.array_equal(np.asarray(Image.open(tree.image(other))), image)
        if same and [element.text for element in objects] == names:
            return other
    tree.add(image_id, names, split, image.shape[:2])
    # JPEG would change the pixels. A file's content decides how it is read, not its name.
    Image.fromarray(image).save(tree.image(image_id), format="PNG")
    return image_id


def drawn(workflow: Workflow, variant: str, image_id: str) -> ImageCams:
    shards = sorted((workflow.results / "cams").glob(f"{variant}-*/shards/*.h5"))
    with CamStoreReader(shards) as reader:
        return reader.read(image_id)


def test_class_maps_of_a_checkpoint(tmp_path, imported: Imported, request):
    golden = request.config.getoption("--golden-dir")
    plain, climbed = cheapest(golden, "irn_cam*.npz"), cheapest(golden, "advcam*.npz")
    tree = VocTree(tmp_path / "voc", VOC_CLASSES)
    plain_id, climbed_id = (add(tree, name, case, "train") for name, case in (("plain", plain), ("climbed", climbed)))
    add(tree, "other", plain, "val")
    tree.write_lists()
    config = {
        "dataset": {"name": "golden", "root": str(tree.root)},
        "backbones": {"resnet50": {"network": "resnet50", "output_stride": 16}},
        "classifiers": {
            "authors": {
                "objective": "ordinary",
                "backbone": "resnet50",
                "weights": str(imported("irn-cam")),
                "optimisation": {"epochs": 0},
            }
        },
        "cams": {
            "plain": {"classifier": "authors", "method": "multiscale", "precision": "float32"},
            "climbed": {
                "classifier": "authors",
                "method": "advcam",
                "steps": int(climbed["adv_iter"]),
                "arithmetic": "float64",
                "precision": "float32",
            },
        },
        "experiments": {"plain": {"cams": "plain"}, "climbed": {"cams": "climbed"}},
        "runtime": {"device": "cpu", "shards": 1},
    }
    workflow = Workflow(tmp_path, config)
    workflow.run("cams")
    rounding = np.finfo(np.float32).eps
    for case, variant, image_id, prefix, largest in (
        (plain, "plain", plain_id, "", MAPS),
        (climbed, "climbed", climbed_id, "f64_", EXACT + rounding),
    ):
        cams = drawn(workflow, variant, image_id)
        assert cams.classes.tolist() == case["keys"].tolist()
        assert (cams.height, cams.width) == case["image"].shape[:2]
        for found, name in ((cams.cam, "cam"), (cams.high_res, "high_res")):
            np.testing.assert_allclose(found, case[f"{prefix}{name}"], rtol=0, atol=largest, err_msg=variant)
