"""Settings of the stages `affinity_labels`, `affinity`, `walked_cams` and `pseudo_labels`."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.averaging import RefinedScores
from wsss_core.config.background import BackgroundScore, PseudoLabelBackground, Threshold
from wsss_core.config.crf import Crf
from wsss_core.config.guesses import Guesses
from wsss_core.config.numbers import Factor
from wsss_core.config.paths import WeightsFile
from wsss_core.config.sam_masks import SamMasks
from wsss_core.config.spreading import AttentionSpreading, IrnWalk, Spreading, Walk
from wsss_core.config.training import Augmentation, Optimisation

IRN_STRIDE = 4
"""Pixels of the image per cell of IRN's boundaries, each way."""


class AffinityLabels(RefinedScores):
    """Pixels that are confidently an object or background: affinity is learned from them."""

    foreground: BackgroundScore = BackgroundScore(alpha=4)
    """Background score of the first CRF; pixels where an object still wins are confidently this object."""
    background: BackgroundScore = BackgroundScore(alpha=32)
    """Background score of the second CRF; pixels where the background still wins are confidently background."""
    conflicts: Literal["object", "background"] = "background"
    """What a pixel is if both CRFs are confident of it: ``object`` as in IRN's code, ``background`` as in
    AffinityNet's."""
    crf: Crf | None = Crf()
    """Constants of both CRFs and of the CRF-refined seed. ``null``, or ``par`` or ``pamr`` instead: no CRF."""
    refined_seed: BackgroundScore = BackgroundScore(times_seed_threshold=1)
    """Background score of the CRF-refined seed, which is only scored, not used."""

    @model_validator(mode="after")
    def _no_class_thresholds(self) -> "AffinityLabels":
        if self.pamr is not None and self.pamr.class_thresholds is not None:
            raise ValueError(
                "'pamr.class_thresholds' is for 'pseudo_labels'; here 'foreground' and 'background' say what is sure"
            )
        return self

    @model_validator(mode="after")
    def _foreground_is_surer(self) -> "AffinityLabels":
        for key, stronger in (("threshold", max), ("times_seed_threshold", max), ("alpha", min)):
            objects, background = getattr(self.foreground, key), getattr(self.background, key)
            if objects is not None and background is not None and stronger(objects, background) != objects:
                raise ValueError(
                    f"'foreground.{key}' of {objects:g} makes more pixels objects than 'background.{key}' of "
                    f"{background:g}; the background score must be the stronger one in 'foreground'"
                )
        return self


class PseudoLabels(RefinedScores):
    """From maps to one label per pixel."""

    background: PseudoLabelBackground
    """Background score next to the maps."""
    crf: Crf | None = None
    """Constants of a CRF on the scores; none by default."""
    divided: bool = Field(True, exclude_if=lambda divided: divided)
    """Divide the maps by the largest value of all classes before the background's score is added, as IRN's code does;
    CLIP-ES's does not."""
    unsure_below: float | None = Field(None, gt=0, lt=1)
    """Pixels whose label has a lower probability than this get no label (255). The probability is that after the CRF;
    without a CRF, it is the label's share of all scores."""
    sam_masks: SamMasks | None = Field(None, exclude_if=lambda masks: masks is None)
    """Masks of segments, such as SAM's, that the labels are joined with at the end."""

    @model_validator(mode="after")
    def _divided_is_used(self) -> "PseudoLabels":
        if not self.divided and self.background.walked_alpha is not None:
            raise ValueError("'divided' is not for 'background.walked_alpha', which never divides the maps")
        if not self.divided and self.background.saliency is not None:
            raise ValueError("'divided: false' is not for 'background.saliency', which always divides the maps")
        return self

    @model_validator(mode="after")
    def _unsure_in_one_way(self) -> "PseudoLabels":
        by_class = self.pamr is not None and self.pamr.class_thresholds is not None
        if self.unsure_below is not None and by_class:
            raise ValueError("give at most one of 'unsure_below' and 'pamr.class_thresholds': both say what is unsure")
        if self.sam_masks is not None and self.sam_masks.keep_ignored and self.unsure_below is None and not by_class:
            raise ValueError("'sam_masks.keep_ignored' is for 'unsure_below': without it every pixel has a label")
        return self


class Affinity(Guesses):
    """The settings that all refinements share. Subclasses add their method's settings."""

    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(times_seed_threshold=1))
    """How maps become labels."""

    @model_validator(mode="after")
    def _threshold_is_for_these_maps(self) -> "Affinity":
        labels = self.pseudo_labels
        chosen = labels.background.threshold is not None and labels.background.threshold.fixed is None
        if chosen and not labels.divided and not isinstance(self, NoAffinity):
            raise ValueError(
                "'pseudo_labels.divided: false' needs a fixed 'background.threshold', as thresholds are chosen on "
                "divided maps"
            )
        return self


class NoAffinity(Affinity):
    """Class maps become pseudo labels without spreading, with a CRF by default."""

    method: Literal["none"] = "none"
    """Nothing is learned and nothing is spread."""
    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(times_seed_threshold=1), crf=Crf())
    """How maps become labels."""

    @model_validator(mode="after")
    def _nothing_walks(self) -> "NoAffinity":
        if self.pseudo_labels.background.walked_alpha is not None:
            raise ValueError("'pseudo_labels.background.walked_alpha' needs a walk; 'alpha' does not")
        return self


class LearnedAffinity(Affinity):
    """A network learns which pixels belong together, and class maps spread along them. Subclasses add their method's
    settings.
    """

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")

    backbone: str | None = None
    """Variant in ``backbones`` whose weights the trunk starts from. Exactly one of this and ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose trunk's weights the trunk starts from."""
    weights: WeightsFile | None = None
    """Path of an affinity network's file that the whole network starts from instead, such as an authors' checkpoint
    converted by ``python -m wsss_core import-weights``. With ``epochs: 0`` it is used as it is."""
    optimisation: Optimisation = Optimisation()
    """How the network is trained."""
    augmentation: Augmentation = Augmentation()
    """Random changes to a training image."""
    labels: AffinityLabels = AffinityLabels()
    """What the network learns from."""
    walk: Walk = Walk()
    """How CAM values are spread."""

    @model_validator(mode="after")
    def _one_start(self) -> "LearnedAffinity":
        if (self.backbone is None) == (self.classifier is None):
            raise ValueError("give exactly one of 'backbone' and 'classifier' (whose weights it starts from)")
        if self.optimisation.epochs == 0 and self.weights is None:
            raise ValueError("'optimisation.epochs: 0' is for an imported network: give its 'weights'")
        return self


class TrainingFreeAffinity(Affinity):
    """Class maps spread along affinities that need no training. Subclasses add their method's settings."""

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")

    backbone: str | None = None
    """Variant in ``backbones`` whose network is used, if the method needs one. At most one of this and
    ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose network is used."""
    walk: Spreading = Spreading()
    """How CAM values are spread."""

    @model_validator(mode="after")
    def _one_network(self) -> "TrainingFreeAffinity":
        if self.backbone is not None and self.classifier is not None:
            raise ValueError("give at most one of 'backbone' and 'classifier' (whose network is used)")
        return self


class AttentionAffinity(TrainingFreeAffinity):
    """CLIP-ES's affinity (Lin et al., CVPR 2023): patches that attend to each other belong together."""

    method: Literal["attention"] = "attention"
    """Attention of the patches of the classifier's or backbone's vision transformer; nothing is trained."""
    walk: AttentionSpreading = AttentionSpreading()
    """How CAM values are spread. Each class's map is then scaled by its minimum and maximum."""

    @model_validator(mode="after")
    def _has_a_network(self) -> "AttentionAffinity":
        if self.backbone is None and self.classifier is None:
            raise ValueError("give exactly one of 'backbone' and 'classifier' (whose attention is used)")
        if self.pseudo_labels.background.walked_alpha is not None:
            raise ValueError("'pseudo_labels.background.walked_alpha' needs a random walk; 'alpha' does not")
        return self


def _check_pairs(crop: int, stride: int, radius: int) -> None:
    """Check that a training crop has cells with all of their pairs.

    Raises:
        ValueError: it has none, so nothing would be learned.
    """
    cells, needed = -(-crop // stride), 2 * radius - 1
    if cells < needed:
        raise ValueError(
            f"'augmentation.crop' of {crop} pixels has {cells} cells each way; pairs within a radius of {radius} "
            f"need {needed}: a crop of at least {(needed - 1) * stride + 1}, or a smaller radius"
        )


class AffinityNet(LearnedAffinity):
    """AffinityNet (Ahn & Kwak, CVPR 2018): pixel features whose distances separate regions."""

    method: Literal["affinitynet"] = "affinitynet"
    """Semantic affinity of neighbouring pixels, learned from the confident labels."""
    stride: Literal[4, 8] = 8
    """Pixels per cell of the affinity grid, each way."""
    radius: int = Field(5, ge=2, le=16)
    """Pairs of cells closer than this get an affinity."""
    border_pairs: bool = False
    """Also pair the cells near the left, right and lower border. The authors' code leaves out cells that lack some of
    their pairs in the grid, in training and in the walk."""
    freeze_batch_norm: bool = True
    """Keep the trunk's batch normalisation as it is."""
    frozen_stem: bool = True
    """Do not train the trunk's first convolution and stage (in timm's models everything up to the map of stride 4)."""
    optimisation: Optimisation = Optimisation(epochs=8, batch_size=8, weight_decay=5e-4, momentum=5e-4)
    """How the network is trained. The authors' optimiser receives the weight decay in momentum's place."""
    augmentation: Augmentation = Augmentation(crop=448, colour_jitter=0.3, hue_jitter=0.1)
    """Random changes to a training image."""
    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(walked_alpha=16))
    """How walked maps become labels."""

    @model_validator(mode="after")
    def _pairs_in_crops(self) -> "AffinityNet":
        if not self.border_pairs:
            _check_pairs(self.augmentation.crop, self.stride, self.radius)
        return self


class Irn(LearnedAffinity):
    """IRN (Ahn, Cho & Kwak, CVPR 2019): a map of class boundaries, which a walk does not cross."""

    method: Literal["irn"] = "irn"
    """Boundaries between classes, learned from pairs of confidently labelled pixels."""
    radius: int = Field(10, ge=2, le=16)
    """Pairs of cells (of 4 pixels) closer than this are trained on."""
    displacement: bool = True
    """Also train the branch that points to objects' centres. Pseudo labels do not depend on it; it is for instance
    segmentation, which this program does not do, and for using the weights elsewhere."""
    displacement_factor: Factor = 10.0
    """The displacement branch learns at the boundary branch's rate times this."""
    optimisation: Optimisation = Optimisation(epochs=3, batch_size=32, head_factor=1, momentum=1e-4)
    """How both branches are fitted; the trunk is not. The authors' optimiser receives the weight decay in momentum's
    place."""
    augmentation: Augmentation = Augmentation(scale=(0.5, 1.5), crop=512)
    """Random changes to a training image."""
    labels: AffinityLabels = AffinityLabels(
        foreground=BackgroundScore(threshold=0.30),
        background=BackgroundScore(threshold=0.05),
        conflicts="object",
        crf=Crf(unary="labels", bilateral_sxy=50, bilateral_srgb=5),
    )
    """What the network learns from. AdvCAM has the thresholds 0.35 and 0.15."""
    walk: IrnWalk = IrnWalk()
    """How CAM values are spread."""
    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(threshold=Threshold(fixed=0.25)))
    """How walked maps become labels."""

    @model_validator(mode="after")
    def _settings_are_used(self) -> "Irn":
        if not self.displacement and self.displacement_factor != type(self).model_fields["displacement_factor"].default:
            raise ValueError("'displacement_factor' belongs to displacement: true")
        return self

    @model_validator(mode="after")
    def _pairs_in_crops(self) -> "Irn":
        _check_pairs(self.augmentation.crop, IRN_STRIDE, self.radius)
        return self
