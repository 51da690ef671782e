"""Every stage that computes on a device, on tiny networks: what the tests of the pretended device run."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from wsss_core.backbones.prepare_backbone import TrunkOnly, prepare_backbone
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.cams.record_climb import record_climb
from wsss_core.cams.record_erasing import record_erasing
from wsss_core.cams.score_climb import score_climb
from wsss_core.classifiers.score_classifier import score_classifier
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.averaging import Averaging, ClassThresholds, Pamr, Par
from wsss_core.config.background import BackgroundScore, PseudoLabelBackground, Threshold
from wsss_core.config.cams import AdvCams, Cams, ClassAttentionCams, ClipGradcamCams, MultiscaleCams, SeenetCams
from wsss_core.config.classifiers import (
    AeftClassifier,
    CgnetClassifier,
    Classifier,
    OrdinaryClassifier,
    SeenetClassifier,
)
from wsss_core.config.networks import Backbone, Pretext, Trunk
from wsss_core.config.refinement import AffinityLabels, AffinityNet, Irn, LearnedAffinity, PseudoLabels
from wsss_core.config.segmentation import (
    DeepLab,
    DeepLabV2,
    DeepLabV3Plus,
    LargeFov,
    Prediction,
    PspNet,
    Segmenter,
    SegmenterOptimisation,
)
from wsss_core.config.semi_supervised import AuxiliaryDecoders, Consistency, MasksOf
from wsss_core.config.spreading import AttentionSpreading, IrnWalk, Walk
from wsss_core.config.token_classifiers import ClipClassifier, MctformerClassifier
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.datasets.palette import write_label_map
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.importing.authors_formats import ImageTower
from wsss_core.jobs.run import Run
from wsss_core.networks.text_features import save_text_features
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import save_weights
from wsss_core.refinement.affinity_labels import make_affinity_labels
from wsss_core.refinement.pseudo_labels import make_pseudo_labels
from wsss_core.refinement.refined_seeds import refine_seeds
from wsss_core.refinement.spread_cams import spread_cams
from wsss_core.refinement.train_affinity import train_affinity
from wsss_core.segmentation.predict import predict
from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter

TRUNKS: dict[str, Callable[[], Trunk]] = {
    "vit": lambda: Trunk(network="timm", model="test_vit"),  # when it is needed: timm may be missing
    "resnet_small": lambda: TRUNK,
    "resnet38": lambda: Trunk(network="resnet38_small", output_stride=8),
    "vgg16": lambda: Trunk(network="vgg16_small"),
}
SHORT = {"epochs": 2, "learning_rate": 1e-3}
CROP = Augmentation(crop=32, colour_jitter=0.3)
AEFT = {
    **{"warmup_epochs": 1, "triplet_batch_size": 3, "classified_images": None, "fewest_hard_triplets": 1},
    **{"margin": 50.0, "feature_channels": 6, "bins": (2, 4)},
}
EVERY_DECODER = Consistency(
    decoders=AuxiliaryDecoders(**dict.fromkeys(AuxiliaryDecoders().counts, 1)), ramp_up=0.5, pseudo_weight=0.1
)

Stage = Callable[["Place"], None]


class Place:
    """A folder in which stages are run, on one device."""

    def __init__(self, folder: Path, inputs: "Inputs", device: str, deterministic: bool = False) -> None:
        self.folder, self.inputs = folder, inputs
        start = [inputs.trunk("resnet_small")]
        self.run = Run(inputs=start, device=device, provenance={"a": 1}, deterministic=deterministic)

    @property
    def weights(self) -> tuple[Path, Path]:
        """The files of a training."""
        return self.folder / "weights.safetensors", self.folder / "training.csv"

    @property
    def shard(self) -> Path:
        return self.folder / "shards" / "000-of-001.h5"


class Inputs:
    """What stages start from, made on the CPU when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = write_images(folder / "images")
        self.labels = {image_id: folder / "labels" / f"{image_id}.png" for image_id in SIZES}
        for image_id, path in self.labels.items():
            write_label_map(path, true_labels(image_id))

    def trunk(self, name: str) -> Path:
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            if name == "resnet_small":
                return write_trunk(path)
            torch.manual_seed(0)
            save_weights(path, TrunkOnly(build_trunk(TRUNKS[name]())), {"kind": "backbone"})
        return path

    def made(self, stage: str, which: str = "weights.safetensors") -> Path:
        """A file that a stage made on the CPU."""
        folder = self.folder / stage
        if not folder.exists():
            STAGES[stage](Place(folder, self, "cpu"))
        return folder / which

    @cached_property
    def cams(self) -> CamStoreReader:
        return CamStoreReader([self.made("cams multiscale", "shards/000-of-001.h5")])


def classifier(
    kind: type[Classifier], trunk: str = "resnet_small", ordinary: str | None = None, **options: Any
) -> Stage:
    fitted = {"batch_size": 3, **SHORT, **options.pop("fitted", {})}
    if ordinary is not None:
        options["ordinary"] = "any"

    def run(place: Place) -> None:
        settings = kind(backbone="any", augmentation=CROP, optimisation=Optimisation(**fitted), **options)
        start = StartingWeights(
            backbone=place.inputs.trunk(trunk), ordinary=None if ordinary is None else place.inputs.made(ordinary)
        )
        train_classifier(settings, TRUNKS[trunk](), place.inputs.index, start, *place.weights, run=place.run)

    return run


def recomputed(stage: Stage) -> Stage:
    """A training that computes blocks a second time on the way back."""

    def run(place: Place) -> None:
        place.run = replace(place.run, recompute=True)
        stage(place)

    return run


def cams(classifier: str, settings: Cams) -> Stage:
    def run(place: Place) -> None:
        generate_cams(settings, place.inputs.index, place.inputs.made(classifier), place.shard, place.run)

    return run


def clip(place: Place) -> None:
    """A tower of random weights, and random texts."""
    torch.manual_seed(0)
    tower = ImageTower(TRUNKS["vit"](), 8)
    torch.nn.init.normal_(tower.projection)
    torch.nn.init.constant_(tower.logit_scale, 2.0)
    files = [place.inputs.folder / f"{name}.safetensors" for name in ("tower", "texts")]
    description = {"kind": "clip", "trunk": describe_trunk(TRUNKS["vit"]()), "embedding": 8}
    save_weights(files[0], tower, description)
    settings = ClipClassifier(backbone="any", weights=str(files[0]), text_features=str(files[1]))
    texts, background = settings.texts(place.inputs.index.classes), settings.background_texts()
    features = torch.randn(len(texts), 8), torch.randn(len(background), 8)
    save_text_features(files[1], *features, texts, background)
    start = StartingWeights(classifier=files[0])
    train_classifier(settings, TRUNKS["vit"](), place.inputs.index, start, *place.weights, run=place.run)


def attention(network: str) -> Stage:
    def run(place: Place) -> None:
        inputs, walk = place.inputs, AttentionSpreading()
        weights = inputs.made(network)
        spread_cams(walk, None, inputs.index, inputs.cams, weights, place.shard, place.run, "attention")

    return run


def climb(place: Place) -> None:
    settings = AdvCams(classifier="any", steps=3)
    weights = place.inputs.made("classifier ordinary")
    record_climb(settings, place.inputs.index, 2, weights, place.folder / "climb.h5", place.run)


def climb_scores(place: Place) -> None:
    # In float64: a score jumps where rounding carries a pixel over a threshold.
    settings = AdvCams(classifier="any", steps=3, scales=(0.5, 1.0), arithmetic="float64")
    weights = place.inputs.made("classifier ordinary")
    tables = place.folder / "scores.csv", place.folder / "amplification.csv"
    score_climb(settings, place.inputs.index, place.inputs.labels, weights, tables, {}, place.run)


def erasing(place: Place) -> None:
    weights = place.inputs.made("classifier ordinary")
    record_erasing(place.inputs.index, 2, weights, place.folder / "erasing.h5", place.run)


def scores(place: Place) -> None:
    weights = place.inputs.made("classifier ordinary")
    made = place.folder / "scores.csv", place.folder / "verdict.json"
    score_classifier(place.inputs.index, weights, *made, "any", run=place.run)


def backbone(place: Place) -> None:
    fitted = Optimisation(batch_size=4, optimizer="adamw", precision="bfloat16", **SHORT)
    pretext = Pretext(images=8, size=32, optimisation=fitted)
    settings = Backbone(network="resnet_small", output_stride=8, weights="pretext", pretext=pretext)
    prepare_backbone(settings, *place.weights, run=place.run)


def affinity(kind: type[LearnedAffinity], **options: Any) -> Stage:
    fitted = {"batch_size": 2, **SHORT, **options.pop("fitted", {})}

    def run(place: Place) -> None:
        settings = kind(
            backbone="any", augmentation=Augmentation(crop=36), optimisation=Optimisation(**fitted), **options
        )
        inputs, trunk = place.inputs, place.inputs.trunk("resnet_small")
        train_affinity(settings, TRUNK, inputs.index, inputs.labels, trunk, *place.weights, run=place.run)

    return run


def walk(affinity: str, settings: Walk, alpha: float | None) -> Stage:
    def run(place: Place) -> None:
        inputs = place.inputs
        spread_cams(settings, alpha, inputs.index, inputs.cams, inputs.made(affinity), place.shard, place.run)

    return run


def refined_labels(stage: str, averaging: Averaging) -> Stage:
    """A stage whose scores are averaged: ``refined_seeds``, ``affinity_labels`` or ``pseudo_labels``."""
    block, background = {type(averaging).__name__.lower(): averaging}, BackgroundScore(threshold=0.3)

    def run(place: Place) -> None:
        index, cams, manifest = place.inputs.index, place.inputs.cams, place.folder / "labels" / "000-of-001.csv"
        if stage == "refined_seeds":
            refine_seeds(background, averaging, index, cams, manifest, place.run)
        elif stage == "affinity_labels":
            make_affinity_labels(AffinityLabels(**block), None, index, cams, manifest, place.run)
        else:
            fixed = PseudoLabelBackground(threshold=Threshold(fixed=0.3))
            settings = PseudoLabels(background=fixed, **block)
            make_pseudo_labels(settings, background, index, cams, manifest, place.run)

    return run


def segmenter(
    kind: type[Segmenter],
    trunk: str = "resnet_small",
    masks_of: MasksOf | None = None,
    unlabelled: bool = False,
    **options: Any,
) -> Stage:
    fitted = {"batch_size": 3, **SHORT, **options.pop("fitted", {})}

    def run(place: Place) -> None:
        settings = kind(
            backbone="any",
            augmentation=Augmentation(crop=32),
            optimisation=SegmenterOptimisation(**fitted),
            **options,
        )
        inputs = place.inputs
        masks = None if masks_of is None else dict(list(inputs.labels.items())[:2])
        labels = TrainingLabels({} if unlabelled else inputs.labels, masks, masks_of)
        start = StartingNetwork(inputs.trunk(trunk), "random weights")
        train_segmenter(settings, TRUNKS[trunk](), inputs.index, labels, start, *place.weights, run=place.run)

    return run


def predictions(segmenter: str, settings: Prediction, probabilities: bool = False) -> Stage:
    def run(place: Place) -> None:
        manifest = place.folder / "labels" / "000-of-001.csv"
        kept = place.folder / "probabilities" / "000-of-001.h5" if probabilities else None
        predict(settings, place.inputs.index, place.inputs.made(segmenter), manifest, kept, place.run)

    return run


BFLOAT16 = {"precision": "bfloat16"}
STAGES: dict[str, Stage] = {
    "backbone": backbone,
    "classifier ordinary": classifier(OrdinaryClassifier),
    "classifier ordinary, bfloat16": classifier(OrdinaryClassifier, fitted={"optimizer": "adamw", **BFLOAT16}),
    "classifier ordinary, resnet38": classifier(OrdinaryClassifier, "resnet38"),
    "classifier ordinary, recomputed": recomputed(classifier(OrdinaryClassifier, "resnet38")),
    "classifier cgnet": classifier(CgnetClassifier, ordinary="classifier ordinary, resnet38"),
    "classifier cgnet, all classes": classifier(
        CgnetClassifier, ordinary="classifier ordinary", erasing="class_agnostic", fitted=BFLOAT16
    ),
    "classifier aeft": classifier(AeftClassifier, "resnet38", **AEFT),
    "classifier aeft, disjoint": classifier(
        AeftClassifier, negatives="disjoint", masking="hard", fitted=BFLOAT16, **AEFT
    ),
    "classifier seenet": classifier(SeenetClassifier, "vgg16"),
    "classifier scores": scores,
    "cams multiscale": cams("classifier ordinary", MultiscaleCams(classifier="any", scales=(0.5, 1.0))),
    "cams multiscale, after resizing": cams(
        "classifier ordinary, resnet38",
        MultiscaleCams(classifier="any", scales=(1.0,), rectify="after_resizing", arithmetic="bfloat16"),
    ),
    "cams advcam": cams("classifier ordinary", AdvCams(classifier="any", steps=3, scales=(0.5, 1.0))),
    "cams advcam, bfloat16": cams(
        "classifier ordinary", AdvCams(classifier="any", steps=3, scales=(1.0,), arithmetic="bfloat16")
    ),
    "cams advcam, aeft": cams(
        "classifier aeft", AdvCams(classifier="any", steps=3, scales=(1.0,), arithmetic="float64")
    ),
    "cams seenet": cams("classifier seenet", SeenetCams(classifier="any", size=32)),
    "classifier mctformer": classifier(MctformerClassifier, "vit"),
    "classifier ordinary, vit": classifier(OrdinaryClassifier, "vit"),
    "classifier clip": clip,
    "cams class_attention": cams("classifier mctformer", ClassAttentionCams(classifier="any", scales=(1.0, 0.75))),
    "cams clip_gradcam": cams("classifier clip", ClipGradcamCams(classifier="any")),
    "cams advcam, mctformer": cams("classifier mctformer", AdvCams(classifier="any", steps=2, scales=(1.0,))),
    "climb": climb,
    "climb scores": climb_scores,
    "erasing": erasing,
    "affinity affinitynet": affinity(AffinityNet, stride=4, radius=3),
    "affinity affinitynet, border pairs": affinity(AffinityNet, stride=4, radius=3, border_pairs=True, fitted=BFLOAT16),
    "affinity irn": affinity(Irn, radius=3),
    "affinity irn, boundaries": affinity(Irn, radius=3, displacement=False, fitted=BFLOAT16),
    "walk affinitynet": walk("affinity affinitynet", Walk(), 4.0),
    "walk irn": walk("affinity irn", IrnWalk(), None),
    "refined seeds, pamr": refined_labels("refined_seeds", Pamr(shrink=1)),
    "affinity labels, par": refined_labels("affinity_labels", Par()),
    "pseudo labels, par": refined_labels("pseudo_labels", Par(softmax=False)),
    "pseudo labels, pamr": refined_labels("pseudo_labels", Pamr(shrink=1, class_thresholds=ClassThresholds())),
    "walk attention": attention("classifier mctformer"),
    "segmenter deeplab": segmenter(DeepLab, atrous_rates=(1, 2)),
    "segmenter deeplab, balanced": segmenter(DeepLab, atrous_rates=(1, 2), low_level_skip=True, loss="balanced"),
    "segmenter largefov": segmenter(LargeFov, "vgg16", atrous_rate=1, channels=16),
    "segmenter deeplabv2": segmenter(DeepLabV2, atrous_rates=(1, 2), fitted={"accumulate": 3}),
    "segmenter deeplabv3plus": segmenter(DeepLabV3Plus, atrous_rates=(1, 2), fitted=BFLOAT16),
    "segmenter masks_of": segmenter(
        DeepLab, masks_of=MasksOf(file="list.txt", share=0.5, pseudo_weight=0.5), atrous_rates=(1, 2)
    ),
    "segmenter consistency": segmenter(
        DeepLab, masks_of=MasksOf(file="list.txt"), atrous_rates=(1, 2), consistency=EVERY_DECODER
    ),
    "segmenter consistency, unlabelled": segmenter(
        DeepLabV2,
        masks_of=MasksOf(file="list.txt"),
        unlabelled=True,
        atrous_rates=(1, 2),
        consistency=EVERY_DECODER.model_copy(update={"pseudo_weight": 0}),
        fitted=BFLOAT16,
    ),
    "segmenter pspnet, consistency": segmenter(
        PspNet, masks_of=MasksOf(file="list.txt"), bins=(1, 2), consistency=EVERY_DECODER
    ),
    "predictions": predictions("segmenter deeplab", Prediction(scales=(0.5, 1.0))),
    "predictions, probabilities": predictions(
        "segmenter deeplabv2", Prediction(scales=(1.0,), crf=None, flip=False), probabilities=True
    ),
    "predictions, bfloat16": predictions(
        "segmenter largefov", Prediction(scales=(1.0,), crf=None, arithmetic="bfloat16")
    ),
}
WITH_TIMM = {
    *("classifier ordinary, vit", "classifier mctformer", "classifier clip", "cams class_attention"),
    *("cams clip_gradcam", "cams advcam, mctformer", "walk attention"),
}
"""Those that need timm."""
