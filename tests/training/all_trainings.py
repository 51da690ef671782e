"""Every stage that trains, on tiny data, as one job: `all_trainings.py FOLDER GPUS`."""

import sys
import time
from pathlib import Path

from wsss_core.jobs.job import in_job
from wsss_core.jobs.run import Run

folder, gpus = Path(sys.argv[1]), int(sys.argv[2])
with in_job(folder / "log.txt", 2, gpus=gpus):
    import pandas
    import torch

    from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
    from wsss_core.backbones.prepare_backbone import TrunkOnly, prepare_backbone
    from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
    from wsss_core.config.classifiers import AeftClassifier, OrdinaryClassifier
    from wsss_core.config.networks import Backbone, Pretext, Trunk
    from wsss_core.config.refinement import AffinityNet, Irn
    from wsss_core.config.segmentation import DeepLab, DeepLabV2, DeepLabV3Plus, LargeFov, PspNet, SegmenterOptimisation
    from wsss_core.config.semi_supervised import Consistency, MasksOf
    from wsss_core.config.training import Augmentation, Optimisation
    from wsss_core.datasets.index import DatasetIndex
    from wsss_core.datasets.palette import IGNORED, write_label_map
    from wsss_core.files.resume import PartialWork
    from wsss_core.networks.trunks import build_trunk
    from wsss_core.networks.weights import save_weights
    from wsss_core.refinement.train_affinity import train_affinity
    from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter
    from wsss_core.training.distributed import process_number

    restore = PartialWork.restore

    def restore_late(self: PartialWork, *outputs: Path) -> bool:
        """A second process that asks for itself finds what the first one has put back."""
        time.sleep(0.1 * process_number())
        return restore(self, *outputs)

    PartialWork.restore = restore_late  # type: ignore[method-assign]
    index, trunk = write_images(folder / "images"), write_trunk(folder / "trunk.safetensors")
    labels = {image_id: folder / "labels" / f"{image_id}.png" for image_id in SIZES}
    for image_id, path in labels.items():
        write_label_map(path, true_labels(image_id))  # of very different numbers of pixels a class
    optimisation = Optimisation(epochs=4, batch_size=2, learning_rate=1e-3, momentum=0.9)
    common = {"optimisation": optimisation, "augmentation": Augmentation(crop=36), "freeze_batch_norm": False}

    def made(stage: str) -> tuple[Path, Path]:
        return folder / stage / "weights.safetensors", folder / stage / "training.csv"

    # Steps of 8 images: normalised over two, rounding grows tenfold an epoch on some processors.
    of_eight = optimisation.model_copy(update={"batch_size": 8})
    pretext = Pretext(images=16, size=32, optimisation=of_eight)
    backbone = Backbone(network="resnet_small", output_stride=8, weights="pretext", pretext=pretext)
    prepare_backbone(backbone, *made("backbone"), run=Run(device="cpu"))
    attraction = {"feature_channels": 6, "bins": (2, 4), "warmup_epochs": 1, "triplet_batch_size": 2}
    classifiers = {
        "ordinary": OrdinaryClassifier(backbone="any", **common),
        "aeft": AeftClassifier(backbone="any", repulsion_weight=0, classified_images=None, **attraction, **common),
    }
    for name, classifier in classifiers.items():  # SeeNet has dropout, which is another one in two processes
        train_classifier(classifier, TRUNK, index, StartingWeights(backbone=trunk), *made(name), run=Run(device="cpu"))
    depthwise = Trunk(network="timm", model="mobilenetv3_small_050", output_stride=8)
    torch.manual_seed(0)
    save_weights(folder / "timm.safetensors", TrunkOnly(build_trunk(depthwise)), {})
    start = StartingWeights(backbone=folder / "timm.safetensors")
    train_classifier(classifiers["ordinary"], depthwise, index, start, *made("timm"), run=Run(device="cpu"))
    affinity = AffinityNet(backbone="any", stride=4, **common)
    train_affinity(affinity, TRUNK, index, labels, trunk, *made("affinity"), run=Run(device="cpu"))
    boundaries = Irn(backbone="any", radius=3, optimisation=optimisation, augmentation=Augmentation(crop=36))
    train_affinity(boundaries, TRUNK, index, labels, trunk, *made("irn"), run=Run(device="cpu"))
    others = {}
    for network in ("resnet38_small", "vgg16_small"):
        others[network] = Trunk(network=network, output_stride=8)
        torch.manual_seed(0)
        save_weights(folder / f"{network}.safetensors", TrunkOnly(build_trunk(others[network])), {})
    plain = {**common, "optimisation": SegmenterOptimisation(**optimisation.model_dump())}
    kinds = {  # without dropout, which is another one in two processes
        "segmenter": DeepLab(backbone="any", atrous_rates=(1, 2), **plain),
        "deeplabv2": DeepLabV2(backbone="any", atrous_rates=(1, 2), loss="balanced", **plain),
        "deeplabv3plus": DeepLabV3Plus(backbone="any", atrous_rates=(1, 2), dropout=0, **plain),
        "pspnet": PspNet(backbone="any", bins=(1, 2), **plain),
        "resnet38_small": LargeFov(backbone="any", atrous_rate=2, channels=16, dropout=0, **plain),
        "vgg16_small": LargeFov(backbone="any", atrous_rate=2, channels=16, dropout=0, loss="balanced", **plain),
    }
    # Of the perturbations, those without a draw, which is another one in two processes.
    decoders = {"noise": 0, "drop": 0, "dropout": 0, "cutout": 0, "adversarial": 0}
    consistency = Consistency(decoders=decoders, ramp_up=0.5)
    kinds["semi"] = DeepLab(backbone="any", atrous_rates=(1, 2), consistency=consistency, **plain)
    masks_of = MasksOf(file="list.txt", share=0.5, pseudo_weight=0.5)
    for name, kind in kinds.items():
        semi = {"masks": {"two": labels["two"]}, "masks_of": masks_of} if name == "semi" else {}
        start = folder / f"{name}.safetensors" if name in others else trunk
        settings = others.get(name, TRUNK)
        start = StartingNetwork(start, "random weights")
        train_segmenter(kind, settings, index, TrainingLabels(labels, **semi), start, *made(name), Run(device="cpu"))
    # Steps in parts: what is in a part, and how many pixels it has, is the same in two processes.
    rows = pandas.concat([index.table] * 3).head(8)
    many = DatasetIndex(index.classes, rows.assign(image_id=[f"{number}" for number in range(8)]))
    partly = {}
    for number, (image_id, shown) in enumerate(zip(many.image_ids, rows["image_id"], strict=True)):
        label_map = true_labels(shown)
        label_map[3 + 4 * number :] = IGNORED
        partly[image_id] = folder / "partly" / f"{image_id}.png"
        write_label_map(partly[image_id], label_map)
    in_parts = SegmenterOptimisation(**{**optimisation.model_dump(), "batch_size": 8, "accumulate": 2})
    parted = DeepLab(backbone="any", atrous_rates=(1, 2), **{**common, "optimisation": in_parts})
    start = StartingNetwork(trunk, "random weights")
    train_segmenter(parted, TRUNK, many, TrainingLabels(partly), start, *made("parted"), Run(device="cpu"))
