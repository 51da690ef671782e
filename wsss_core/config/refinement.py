"""Settings of the stages `affinity_labels`, `affinity`, `walked_cams` and `pseudo_labels`."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.averaging import RefinedScores
from wsss_core.config.background import BackgroundScore, PseudoLabelBackground, Threshold
from wsss_core.config.crf import Crf
from wsss_core.config.guesses import Guesses
from wsss_core.config.numbers import Factor, Power
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import WeightsFile
from wsss_core.config.sam_masks import SamMasks
from wsss_core.config.training import Augmentation, Optimisation

IRN_STRIDE = 4
"""Pixels of the image per cell of IRN's boundaries, each way."""


class AffinityLabels(RefinedScores):
    """Which pixels are surely an object or surely background: what affinity is learned from."""

    foreground: BackgroundScore = BackgroundScore(alpha=4)
    """Background score of the first CRF; where an object still wins, its class is confident."""
    background: BackgroundScore = BackgroundScore(alpha=32)
    """Background score of the second CRF; where the background still wins, it is confident."""
    conflicts: Literal["object", "background"] = "background"
    """What a pixel is that both CRFs are confident of: as in IRN's code (``object``), or AffinityNet's."""
    crf: Crf | None = Crf()
    """Constants of both CRFs, and of the CRF-refined seed's; ``null``, or ``par`` or ``pamr`` in its place: none."""
    refined_seed: BackgroundScore = BackgroundScore(times_seed_threshold=1)
    """Background score of the CRF-refined seed, which is scored and not used."""

    @model_validator(mode="after")
    def _sure_by_two_backgrounds(self) -> "AffinityLabels":
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
                    f"'foreground.{key}' of {objects:g} lets more be an object than 'background.{key}' of "
                    f"{background:g} does; the background has to be stronger where objects are to be sure"
                )
        return self


class Spreading(Parameters):
    """What all ways of spreading CAM values have in common. Subclasses add their method's settings."""

    cam_power: Power = 1.0
    """CAM values are raised to this power before they are spread: 1.5 in AdvCAM's use of IRN."""


class Walk(Spreading):
    """Random walk that spreads CAM values along learned affinities."""

    beta: float = Field(8.0, ge=0.01, le=1e9)
    """Affinities are raised to this power before they become transition probabilities."""
    log2_steps: int = Field(8, ge=0, le=12)
    """The walk takes 2 ** log2_steps steps."""
    cam_power: Power = 1.0
    """CAM values are raised to this power before the walk: 1.5 in AdvCAM's use of IRN."""


class PseudoLabels(RefinedScores):
    """From maps to one label per pixel."""

    background: PseudoLabelBackground
    """Background score beside the maps."""
    crf: Crf | None = None
    """Constants of a CRF on the scores; none by default."""
    divided: bool = Field(True, exclude_if=lambda divided: divided)
    """Divide maps by the largest value of all classes before the background's score joins them, as IRN's code does;
    CLIP-ES's does not."""
    unsure_below: float | None = Field(None, gt=0, lt=1)
    """Pixels whose label has less than this probability get no label (255): its probability after the CRF, or,
    without a CRF, its share of all scores."""
    sam_masks: SamMasks | None = Field(None, exclude_if=lambda masks: masks is None)
    """Masks of segments, such as SAM's, that the labels are joined with at the end."""

    @model_validator(mode="after")
    def _what_is_never_divided(self) -> "PseudoLabels":
        if not self.divided and self.background.walked_alpha is not None:
            raise ValueError("'divided' is not for a background of 'walked_alpha', with which nothing is divided")
        if not self.divided and self.background.saliency is not None:
            raise ValueError(
                "'divided: false' is not for a background of 'saliency', with which maps are always divided"
            )
        return self

    @model_validator(mode="after")
    def _unsure_in_one_way(self) -> "PseudoLabels":
        by_class = self.pamr is not None and self.pamr.class_thresholds is not None
        if self.unsure_below is not None and by_class:
            raise ValueError("give at most one of 'unsure_below' and 'pamr.class_thresholds': both say what is unsure")
        if self.sam_masks is not None and self.sam_masks.keep_ignored and self.unsure_below is None and not by_class:
            raise ValueError("'sam_masks.keep_ignored' is for 'unsure_below': without it every pixel has a label")
        return self


class AttentionSpreading(Spreading):
    """How the attention of a vision transformer's patches spreads CAM values: CLIP-ES's class-aware attention-based
    affinity (Lin et al., CVPR 2023).
    """

    layers: int = Field(8, ge=1, le=1_000)
    """The mean of the patches' attention is taken over so many blocks, the last ones; over all if there are fewer."""
    balancing: int = Field(3, ge=0, le=1_000)
    """How often columns, and then rows, are divided by their sums, before the matrix is made symmetric."""
    log2_steps: int = Field(1, ge=0, le=12)
    """The matrix is multiplied with the maps 2 ** log2_steps times."""
    box_threshold: float | None = Field(0.4, gt=0, lt=1)
    """Only values inside of the boxes around a class's regions above this share of its maximum are spread; ``null``
    spreads all."""


class Affinity(Guesses):
    """What all refinements have in common. Subclasses add their method's settings."""

    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(times_seed_threshold=1))
    """How maps become labels."""

    @model_validator(mode="after")
    def _threshold_is_of_these_maps(self) -> "Affinity":
        labels = self.pseudo_labels
        chosen = labels.background.threshold is not None and labels.background.threshold.fixed is None
        if chosen and not labels.divided and not isinstance(self, NoAffinity):
            raise ValueError(
                "'pseudo_labels.divided: false' needs a fixed 'background.threshold': one is chosen on walked maps "
                "that are divided"
            )
        return self


class NoAffinity(Affinity):
    """Class maps become pseudo labels as they are, with a CRF if wanted."""

    method: Literal["none"] = "none"
    """Nothing is learned and nothing walks."""
    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(times_seed_threshold=1), crf=Crf())
    """How maps become labels."""

    @model_validator(mode="after")
    def _nothing_walks(self) -> "NoAffinity":
        if self.pseudo_labels.background.walked_alpha is not None:
            raise ValueError("'pseudo_labels.background.walked_alpha' needs a walk; 'alpha' does not")
        return self


class LearnedAffinity(Affinity):
    """A network learns which pixels belong together, and class maps walk along. Subclasses add their method's."""

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")

    backbone: str | None = None
    """Variant in ``backbones`` whose weights the trunk starts from. Exactly one of this and ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose trunk's weights the trunk starts from."""
    weights: WeightsFile | None = None
    """Path of an affinity network's file that the whole network starts from instead, such as an authors' checkpoint
    that ``python -m wsss_core import-weights`` turned into one. With ``epochs: 0`` it is used as it is."""
    optimisation: Optimisation = Optimisation()
    """How the network is fitted."""
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
            raise ValueError("'optimisation.epochs: 0' is for a network that is imported: give its 'weights'")
        return self


class TrainingFreeAffinity(Affinity):
    """Class maps spread along affinities that nothing is trained for. Subclasses add their method's settings."""

    alternatives: ClassVar[tuple[str, ...]] = ("backbone", "classifier")

    backbone: str | None = None
    """Variant in ``backbones`` whose network is looked at, if the method looks at one. At most one of this and
    ``classifier``."""
    classifier: str | None = None
    """Variant in ``classifiers`` whose network is looked at."""
    walk: Spreading = Spreading()
    """How CAM values are spread."""

    @model_validator(mode="after")
    def _one_network(self) -> "TrainingFreeAffinity":
        if self.backbone is not None and self.classifier is not None:
            raise ValueError("give at most one of 'backbone' and 'classifier' (whose network is looked at)")
        return self


class AttentionAffinity(TrainingFreeAffinity):
    """CLIP-ES's affinity (Lin et al., CVPR 2023): patches belong together that attend to each other."""

    method: Literal["attention"] = "attention"
    """Attention of a vision transformer's patches, of the classifier's or the backbone's; nothing is trained."""
    walk: AttentionSpreading = AttentionSpreading()
    """How CAM values are spread. Each class's map is then scaled by its minimum and maximum."""

    @model_validator(mode="after")
    def _is_of_a_network(self) -> "AttentionAffinity":
        if self.backbone is None and self.classifier is None:
            raise ValueError("give exactly one of 'backbone' and 'classifier' (whose attention is looked at)")
        if self.pseudo_labels.background.walked_alpha is not None:
            raise ValueError("'pseudo_labels.background.walked_alpha' needs a random walk; 'alpha' does not")
        return self


def _pairs_fit(crop: int, stride: int, radius: int) -> None:
    """See to it that a training crop has first cells with all of their pairs.

    Raises:
        ValueError: it has none, so that nothing would be learned.
    """
    cells, needed = -(-crop // stride), 2 * radius - 1
    if cells < needed:
        raise ValueError(
            f"'augmentation.crop' of {crop} pixels has {cells} cells each way; pairs within a radius of {radius} "
            f"need {needed}: a crop of {(needed - 1) * stride + 1} at least, or a smaller radius"
        )


class AffinityNet(LearnedAffinity):
    """AffinityNet (Ahn & Kwak, CVPR 2018): pixel features whose distances tell apart regions."""

    method: Literal["affinitynet"] = "affinitynet"
    """Semantic affinity of neighbouring pixels, learned from the confident labels."""
    stride: Literal[4, 8] = 8
    """Pixels per cell of the affinity grid, each way."""
    radius: int = Field(5, ge=2, le=16)
    """Pairs of cells closer than this get an affinity."""
    border_pairs: bool = False
    """Pair the cells near the left, right and lower border as well. The authors' code leaves out first cells that
    have not all of their pairs in the grid, in training and in the walk."""
    freeze_batch_norm: bool = True
    """Keep batch normalisation as it comes with the trunk."""
    frozen_stem: bool = True
    """Keep the first convolution and stage as they come with the trunk, of timm's models all up to the map of stride
    4."""
    optimisation: Optimisation = Optimisation(epochs=8, batch_size=8, weight_decay=5e-4, momentum=5e-4)
    """How the network is fitted. The authors' optimiser receives the weight decay in momentum's place."""
    augmentation: Augmentation = Augmentation(crop=448, colour_jitter=0.3, hue_jitter=0.1)
    """Random changes to a training image."""
    pseudo_labels: PseudoLabels = PseudoLabels(background=PseudoLabelBackground(walked_alpha=16))
    """How walked maps become labels."""

    @model_validator(mode="after")
    def _pairs_in_crops(self) -> "AffinityNet":
        if not self.border_pairs:
            _pairs_fit(self.augmentation.crop, self.stride, self.radius)
        return self


class IrnWalk(Walk):
    """Random walk that spreads CAM values, but not across boundaries."""

    beta: float = Field(10.0, ge=0.01, le=1e9)
    """Affinities are raised to this power before they become transition probabilities."""
    radius: int = Field(5, ge=2, le=16)
    """Pairs of cells (of 4 pixels) closer than this are steps of the walk."""


class Irn(LearnedAffinity):
    """IRN (Ahn, Cho & Kwak, CVPR 2019): a map of class boundaries, which a walk does not cross."""

    method: Literal["irn"] = "irn"
    """Boundaries between classes, learned from pairs of confidently labelled pixels."""
    radius: int = Field(10, ge=2, le=16)
    """Pairs of cells (of 4 pixels) closer than this are trained on."""
    displacement: bool = True
    """Train the branch that points to objects' centres. Pseudo labels do not depend on it: it serves instance
    segmentation, which this program does not do, and whoever imports the weights elsewhere."""
    displacement_factor: Factor = 10.0
    """Multiple of the boundary branch's learning rate that the displacement branch is trained with."""
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
    """What the network learns from. AdvCAM has 0.35 and 0.15."""
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
        _pairs_fit(self.augmentation.crop, IRN_STRIDE, self.radius)
        return self
