"""A segmenter's training with all that is drawn by chance, as one job: `segmenter_training.py FOLDER GPUS PAUSE`."""

import sys
import time
from pathlib import Path

from wsss_core.jobs.job import in_job
from wsss_core.jobs.run import Run

folder, gpus, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with in_job(folder / "log.txt", 2, gpus=gpus):
    from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
    from wsss_core.config.segmentation import DeepLabV3Plus, SegmenterOptimisation
    from wsss_core.config.semi_supervised import Consistency, MasksOf
    from wsss_core.config.training import Augmentation
    from wsss_core.datasets.palette import write_label_map
    from wsss_core.segmentation.mixed_labels import LabelMapSamples
    from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter

    read = LabelMapSamples.__getitem__

    def slowly(self, item):
        time.sleep(pause)
        return read(self, item)

    LabelMapSamples.__getitem__ = slowly
    index, trunk, labels = write_images(folder / "images"), folder / "trunk.safetensors", folder / "labels"
    if not trunk.exists():  # a rerun goes on only with the files as they were
        write_trunk(trunk)
        for image_id in SIZES:
            write_label_map(labels / f"{image_id}.png", true_labels(image_id))
    maps = {image_id: labels / f"{image_id}.png" for image_id in SIZES}
    segmenter = DeepLabV3Plus(
        backbone="any",
        atrous_rates=(1, 2),
        dropout=0.3,
        freeze_batch_norm=False,
        optimisation=SegmenterOptimisation(epochs=4, batch_size=2, learning_rate=1e-3, momentum=0.9),
        augmentation=Augmentation(crop=36),
        consistency=Consistency(decoders={"noise": 1, "dropout": 1, "adversarial": 1}, ramp_up=0.5),
    )
    weights, curve = folder / "weights.safetensors", folder / "training.csv"
    semi = {"masks": {"two": maps["two"]}, "masks_of": MasksOf(file="list.txt", share=0.5, pseudo_weight=0.5)}
    start = StartingNetwork(trunk, "random weights")
    train_segmenter(segmenter, TRUNK, index, TrainingLabels(maps, **semi), start, weights, curve, Run(device="cpu"))
