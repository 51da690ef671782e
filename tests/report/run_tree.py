"""A small finished run, made by hand: images, masks, maps, scores, curves, measurements."""

import json

import numpy as np
import pandas
from PIL import Image

from wsss_core.datasets.index import DatasetIndex, write_index
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.evaluation.classifier_verdict import Verdict, write_verdict
from wsss_core.files.cam_store import ImageCams, write_cam_store
from wsss_core.files.climb_store import ImageClimb, write_climbs
from wsss_core.report.make_report import Run
from wsss_core.report.pictured import Pictured

CLASSES = ("cat", "<dog> & co")
SIDE = 24
SAID = {"split": "train", "crf": "no", "labels": "image labels"}


def block(value, rows):
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[:rows, :SIDE] = value
    return labels


def artifact(folder, stage, variant, digest, **upstream):
    directory = folder / stage / f"{variant}-{digest}"
    directory.mkdir(parents=True)
    upstream = {role: made["directory"] for role, made in upstream.items()}
    return {"stage": stage, "variant": variant, "directory": str(directory), "upstream": upstream}


def label_maps(directory, maps):
    folder = directory / "labels"
    for image_id, labels in maps.items():
        write_label_map(folder / f"{image_id}.png", labels)
    manifest = folder / "000-of-001.csv"
    write_label_manifest({image_id: f"{image_id}.png" for image_id in maps}, manifest)
    return [str(manifest)]


def made_index(folder, images):
    rows = []
    for number in range(images):
        split, image_id = ("train", "val")[number >= images - 2], f"image_{number}"
        file = folder / "raw" / f"{image_id}.jpg"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), 40 * (number % 6), np.uint8)).save(file)
        rows.append([image_id, split, str(file), SIDE, SIDE, CLASSES[number % 2]])
    table = pandas.DataFrame(rows, columns=["image_id", "split", "image", "height", "width", "labels"])
    index = DatasetIndex(CLASSES, table)
    write_index(index, folder / "index.csv", folder / "classes.json")
    return index


def scored(directory, curve=False):
    iou = {"iou_background": 0.9, "iou_cat": 0.5, "iou_<dog> & co": None}
    rows = [{"miou": 0.5, "precision": 0.6, "recall": 0.7, **SAID, **iou}]
    if curve:
        rows = [{"threshold": k / 10, **rows[0], "miou": 0.5 - abs(k - 3) / 20} for k in range(10)]
    pandas.DataFrame(rows).to_csv(directory / "scores.csv", index=False)
    return str(directory / "scores.csv")


def judged(directory, learned="enough", at_chance=()):
    """The scores of a classifier that finds cats."""
    advice = ("look at <labels>",) if learned != "enough" else ()
    verdict = Verdict("ordinary", learned, f"the classifier has learned {learned}: mAP 81.2 %", advice, at_chance)
    write_verdict(verdict, directory / "verdict.json")
    header = "class,average_precision,chance,f1,precision,recall,positive_images"
    rows = (",0.812,0.4,0.6,0.7,0.55,2", "cat,0.812,0.4,0.6,,0.55,1", "<dog> & co,,,,,,0")
    (directory / "scores.csv").write_text("\n".join([header, *rows]) + "\n")
    return {
        "variant": "ordinary",
        "scores": str(directory / "scores.csv"),
        "verdict": str(directory / "verdict.json"),
    }


def measured(folder, rule, name, seconds, text=""):
    file = folder / "benchmarks" / rule / f"{name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text or f"s\th:m:s\tmax_rss\tmean_load\tcpu_time\n{seconds}\t0:00:01\t512.5\t90\t{seconds / 2}\n")


def made_climb(folder, image_ids, steps=5):
    """Climbs of the first class: the map grows downwards, a row a step, and the score by 0.5."""
    maps = np.zeros((1, steps, 6, 6), np.float32)
    for step in range(steps):
        maps[0, step, : step + 1] = 1
    scores = np.arange(steps, dtype=np.float32)[None] / 2
    images = np.full((1, steps, SIDE, SIDE, 3), 90, np.uint8)
    climbs = [ImageClimb(i, np.array([0], np.int16), maps, scores, images, SIDE, SIDE) for i in image_ids]
    write_climbs(folder / "climb.h5", CLASSES, {}, climbs)
    return str(folder / "climb.h5")


def made_run(folder, masks=True, images=6, experiments=("cam", "adv & cam")):
    """A run over a few images; the experiments share the classifier.

    The last two images are the validation split's.
    """
    index = made_index(folder, images)
    train, val = index.split("train").image_ids, index.split("val").image_ids
    artifacts = [artifact(folder, "dataset", "voc", "0000000000")]
    classifier = artifact(folder, "classifier", "ordinary", "1111111111", dataset=artifacts[0])
    artifacts.append(classifier)
    (folder / "classifier/ordinary-1111111111/training.csv").write_text("epoch,loss,learning_rate\n1,0.7,1\n2,0.5,1\n")
    device = {"device": "NVIDIA H200", "seconds": 7.5, "images_per_second": 41.25}
    provenance = {"jobs": {"ordinary-1111111111": device}}
    (folder / "classifier/ordinary-1111111111/provenance.json").write_text(json.dumps(provenance))
    measured(folder, "train_classifier", "ordinary-1111111111", 8)
    described, stages, maps = {}, {}, {}
    for number, name in enumerate(experiments):
        digest = f"{number + 2}" * 10
        cams = artifact(folder, "cams", f"cam{number}", digest, dataset=artifacts[0], classifier=classifier)
        pseudo = artifact(folder, "pseudo_labels", f"cam{number}-irn", digest, maps=cams)
        predictions = artifact(folder, "predictions", f"cam{number}-irn-deeplab", digest, labels=pseudo)
        artifacts += [cams, pseudo, predictions]
        folders = {made["stage"]: folder / made["stage"] / f"{made['variant']}-{digest}" for made in artifacts[-3:]}
        shard = folders["cams"] / "000-of-001.h5"
        values = np.linspace(0, 1, 36, dtype=np.float32).reshape(1, 6, 6)
        write_cam_store(
            shard, CLASSES, {}, [ImageCams(i, np.array([n % 2]), values, None, SIDE, SIDE) for n, i in enumerate(train)]
        )
        made = {i: block(1 + n % 2, 4 + 2 * n + number) for n, i in enumerate(train)}
        predicted = {i: block(1, 12) for i in val}
        maps[name] = {
            "cams": [str(shard)],
            "pseudo_labels": label_maps(folders["pseudo_labels"], made),
            "predictions": label_maps(folders["predictions"], predicted),
        }
        measured(folder, "generate_cams", f"cam{number}-{digest}.000-of-001", 10 + number)
        threshold = {"fixed": 0.4, "file": None, "source": "fixed"}
        scores = {
            "seed": scored(folders["cams"], curve=True),
            "pseudo_labels": scored(folders["pseudo_labels"]),
            "val": scored(folders["predictions"]),
        }
        described[name] = {
            "labels": "pseudo",
            "seed_threshold": threshold,
            "walk_threshold": threshold,
            "published": {"seed": 55.6, "pseudo_labels": None, "val": None, "test": None, "source": "A & B, 2021"},
            "scores": scores if masks else {},
        }
        stages[name] = {m["stage"]: m["directory"] for m in (classifier, cams, pseudo, predictions)}
    masks_csv = None
    if masks:
        for image_id in index.image_ids:
            write_label_map(folder / "masks" / f"{image_id}.png", block(1, 8))
        masks_csv = str(folder / "masks.csv")
        write_label_manifest({i: folder / "masks" / f"{i}.png" for i in index.image_ids}, masks_csv)
    setting = {"key": "cams.<b>", "value": [1.0, 2.0], "default": None, "given": False, "differs": True}
    thresholds = dict.fromkeys(maps, threshold)
    pictured = Pictured(str(folder / "index.csv"), str(folder / "classes.json"), masks_csv, maps, thresholds, 80)
    climbs = {"adv": {"file": made_climb(folder, train[:1]), "threshold": threshold}}
    classifiers = [judged(folder / "classifier/ordinary-1111111111")]
    return Run("pets <script>", folder, described, stages, artifacts, [setting], pictured, climbs, classifiers)
