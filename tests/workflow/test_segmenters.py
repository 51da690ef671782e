"""Segmenters other than the demo's, as jobs."""

import csv

import h5py

from wsss_core.config.class_names import CREATURE_CLASSES
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import LargeFov
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter
from wsss_core.networks.weights import describe_further

from .workflow import Workflow


def test_trained_and_imported_segmenters_say_what_they_start_from(tmp_path):
    trunk = {"network": "resnet_small", "output_stride": 8}
    imported = {"network": "largefov", "backbone": "random", "channels": 8, "optimisation": {"epochs": 0}}
    file = str(tmp_path / "imported.safetensors")
    options = LargeFov(backbone="any", channels=8).options
    save_segmenter(file, build_segmenter("largefov", options, Trunk(**trunk), CREATURE_CLASSES))
    describe_further(file, trained_on="ImageNet, COCO")
    workflow = Workflow(tmp_path)
    workflow.config["backbones"]["random"] = {**trunk, "weights": "scratch"}
    augmentation = {"crop": 48}
    workflow.config["segmenters"] = {
        "v2": {
            "network": "deeplabv2",
            "backbone": "random",
            "atrous_rates": [1, 2],
            "optimisation": {"epochs": 1, "batch_size": 4},
            "augmentation": augmentation,
            "prediction": {"crf": None, "keep_probabilities": True},
        },
        "imported": {**imported, "weights": file, "prediction": {"crf": None}},
    }
    workflow.config["experiments"] = {name: {"labels": "masks", "segmenter": name} for name in ("v2", "imported")}
    workflow.run()
    (kept,) = workflow.results.glob("predictions/*/probabilities/*.h5")
    assert kept.parents[1].name.startswith("masks-v2-")
    with h5py.File(kept) as shard:
        assert len(shard) == workflow.config["dataset"]["generate"]["val_images"]
    reported = {}
    for path in workflow.results.glob("predictions/*/labels.scores.csv"):
        with open(path, newline="") as table:
            (row,) = csv.DictReader(table)
        reported[path.parent.name.rpartition("-")[0]] = row["initialisation"]
    assert reported == {"masks-v2": "random weights", "imported": f"ImageNet, COCO ({file})"}
    (log,) = workflow.results.glob("logs/train_segmenter/masks-v2-*.log")
    assert "deeplabv2: its weights start from random weights" in log.read_text()
