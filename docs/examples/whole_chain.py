"""The full pipeline as Python calls, one after the other: what the workflow runs as jobs.

``python docs/examples/whole_chain.py FOLDER`` generates a small data set in the folder, and goes from its image-level
labels to a segmentation network and its scores. The networks are far too small, and trained far too briefly, to find
much: this shows which call makes what from what.
"""

import argparse
import json
from pathlib import Path

from wsss_core.backbones.prepare_backbone import prepare_backbone
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.background import BackgroundScore
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.class_names import CREATURE_CLASSES
from wsss_core.config.classifiers import OrdinaryClassifier
from wsss_core.config.dataset import Creatures, dataset_settings
from wsss_core.config.networks import Backbone
from wsss_core.config.refinement import AffinityLabels, Irn, PseudoLabels
from wsss_core.config.segmentation import DeepLab, Prediction
from wsss_core.datasets.creatures.creatures import generate_creatures
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import read_index
from wsss_core.datasets.index_dataset import index_dataset
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.evaluation.score import score_label_maps
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.run import Run
from wsss_core.refinement.affinity_labels import make_affinity_labels
from wsss_core.refinement.pseudo_labels import make_pseudo_labels
from wsss_core.refinement.spread_cams import spread_cams
from wsss_core.refinement.train_affinity import train_affinity
from wsss_core.segmentation.predict import predict
from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter


def whole_chain(folder: Path, epochs: int = 2) -> Path:
    """Go from generated images to scores.

    Returns:
        The table of the predictions' scores on the validation images.
    """
    run, brief = Run(device="cpu"), {"epochs": epochs, "batch_size": 8, "learning_rate": 1e-3, "optimizer": "adamw"}
    crop = {"crop": 48}

    # Stage `dataset`: the index of the images, and, for scores alone, the manifest of their masks.
    generate_creatures(folder / "raw", Creatures(train_images=40, val_images=10, size=48, seed=0))
    settings = dataset_settings({"format": "voc", "root": str(folder / "raw"), "classes": CREATURE_CLASSES})
    raw = raw_dataset(folder / "raw", settings)
    names = ("index.csv", "classes.json", "report.html", "report.csv", "skipped.csv")
    index_csv, classes_json, *others = (folder / "dataset" / name for name in names)
    index_dataset(raw, index_csv, classes_json, *others)
    index = read_index(index_csv, classes_json)
    train, masks = index.split("train"), folder / "masks" / "masks.csv"
    index_masks(raw, index, masks, folder / "masks" / "skipped.csv")

    def made(stage: str) -> tuple[Path, Path]:
        return folder / stage / "weights.safetensors", folder / stage / "training.csv"

    # Stages `backbone` and `classifier`: a trunk, and a network that learns which classes an image shows.
    trunk = Backbone(network="resnet_small", output_stride=8, weights="scratch")
    prepare_backbone(trunk, *made("backbone"), run)
    ordinary = OrdinaryClassifier(backbone="small", optimisation=brief, augmentation=crop)
    start = StartingWeights(backbone=made("backbone")[0])
    train_classifier(ordinary, trunk, train, start, *made("classifier"), run)
    classifier = made("classifier")[0]

    # Stage `cams`: class maps in HDF5.
    shard = folder / "cams" / "shards" / "000-of-001.h5"
    generate_cams(MultiscaleCams(classifier="ordinary", scales=(1.0, 2.0)), train, classifier, shard, run)

    # Stages `affinity_labels`, `affinity`, `walked_cams`, `pseudo_labels`: from class maps to a label per pixel.
    irn = Irn(classifier="ordinary", radius=3, displacement=False, optimisation=brief, augmentation=crop)
    with CamStoreReader([shard]) as cams:
        confident = folder / "affinity_labels" / "labels" / "000-of-001.csv"
        make_affinity_labels(AffinityLabels(), 0.3, train, cams, confident, run)
        labels = read_label_manifest([confident])
        train_affinity(irn, trunk, train, labels, classifier, *made("affinity"), run)
        walked = folder / "walked_cams" / "shards" / "000-of-001.h5"
        spread_cams(irn.walk, None, train, cams, made("affinity")[0], walked, run)
    with CamStoreReader([walked]) as maps:
        pseudo = folder / "pseudo_labels" / "labels" / "000-of-001.csv"
        make_pseudo_labels(
            PseudoLabels(**{"background": {"threshold": 0.3}}), BackgroundScore(threshold=0.3), train, maps, pseudo, run
        )

    # Stages `segmenter` and `predictions`: a network that labels the pixels of images without labels.
    deeplab = DeepLab(classifier="ordinary", atrous_rates=(1, 2), optimisation=brief, augmentation=crop)
    learned = TrainingLabels(read_label_manifest([pseudo]))
    train_segmenter(deeplab, trunk, train, learned, StartingNetwork(classifier, "random"), *made("segmenter"), run)
    predictions = folder / "predictions" / "labels" / "000-of-001.csv"
    predict(Prediction(scales=(1.0,)), index.split("val"), made("segmenter")[0], predictions, None, run)

    scores = folder / "scores.csv"
    classes = json.loads(classes_json.read_text())
    score_label_maps(read_label_manifest([predictions]), read_label_manifest([masks]), tuple(classes), scores, {})
    return scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The full pipeline on a small generated data set.")
    parser.add_argument("folder", type=Path, help="folder for all that is made")
    print(whole_chain(parser.parse_args().folder).read_text())
