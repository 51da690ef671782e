"""Settings of the stage `classifier`: one class per objective."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.guesses import Guesses
from wsss_core.config.numbers import BatchSize, Bins, Channels, Epochs, Weight
from wsss_core.config.paths import WeightsFile
from wsss_core.config.training import Augmentation, Optimisation

AUTHORS_MOMENTUM = 5e-4
"""OC-CSE's and AEFT's optimiser receives the weight decay in momentum's place."""


class Classifier(Guesses):
    """A network trained on image-level labels. Subclasses add their objective's settings."""

    alternatives: ClassVar[tuple[str, ...]] = ("start_from", "weights")
    has_class_maps: ClassVar[bool] = True
    """Whether the network gives a map for each class, not only scores."""

    backbone: str
    """Name of a variant in ``backbones``: the trunk, and its weights unless ``start_from`` or ``weights`` is given."""
    start_from: str | None = None
    """Name of a variant in ``classifiers`` that the network starts from: it takes over the weights of the same name and
    shape, at least the whole trunk's. At most one of this and ``weights``."""
    weights: WeightsFile | None = None
    """Path of a classifier's file that the network starts from, such as an authors' checkpoint converted by
    ``python -m wsss_core import-weights``. With ``epochs: 0`` it is used as it is."""
    freeze_batch_norm: bool = True
    """Keep the statistics and weights of the backbone's batch normalisation."""
    frozen_stem: bool = True
    """Do not train the backbone's first layers: a residual network's first convolution and stage (IRN, AffinityNet),
    VGG-16's first stage, everything up to the map of stride 4 in timm's models."""
    optimisation: Optimisation = Optimisation()
    """How the network is trained."""
    augmentation: Augmentation = Augmentation(long_side=(320, 640), crop=512)
    """Random changes to a training image."""

    @model_validator(mode="after")
    def _one_start(self) -> "Classifier":
        if self.start_from is not None and self.weights is not None:
            raise ValueError("give at most one of 'start_from' and 'weights'")
        if self.optimisation.epochs == 0 and self.weights is None:
            raise ValueError("'optimisation.epochs: 0' is for an imported classifier: give its 'weights'")
        return self


class OrdinaryClassifier(Classifier):
    """Multi-label classification: the baseline of the field."""

    objective: Literal["ordinary"] = "ordinary"
    """Multi-label soft margin loss on the mean of the class maps."""


class CgnetClassifier(Classifier):
    """CGNet / OC-CSE (Kweon et al., ICCV 2021): erasing what a class's map covers must hide this class, and no other,
    from a frozen ordinary classifier.
    """

    objective: Literal["cgnet"] = "cgnet"
    """Classification, and classification of the image with one class erased, by the frozen classifier."""
    ordinary: str
    """Name of a variant in ``classifiers``: the ordinary classifier that judges the erased image."""
    erasing: Literal["class_specific", "class_agnostic", "none"] = "class_specific"
    """What is erased. ``class_specific``: one of the image's classes, drawn at random. ``class_agnostic`` (the paper's
    ablation): the maximum of its classes' maps, after which no class must be visible. ``none``: nothing; the other
    settings of erasing then have no effect."""
    erasing_weight: Weight = 0.3
    """Weight of the erased image's loss in the first epoch."""
    erasing_weight_growth: Weight = 0.05
    """What each epoch adds to that weight."""
    mask_maximum: Literal["batch", "image"] = "batch"
    """What the erasing map is divided by: the maximum over the whole batch, as in the authors' code, or over its own
    image, as in the paper."""
    optimisation: Optimisation = Optimisation(
        epochs=15, batch_size=8, learning_rate=0.01, head_factor=1, weight_decay=5e-4, momentum=AUTHORS_MOMENTUM
    )
    """How the network is trained. The last layer learns as slowly as the rest, as in the authors' code."""
    augmentation: Augmentation = Augmentation(long_side=(256, 448), crop=384, colour_jitter=0.3)
    """Random changes to a training image."""


class AeftClassifier(Classifier):
    """AEFT (Yoon et al., ECCV 2022): gated pyramid pooling, and triplets of an image, the same image erased, and
    another image.
    """

    objective: Literal["aeft"] = "aeft"
    """Classification, attraction to the erased image, repulsion from an image without a common class."""
    feature_channels: Channels = 256
    """Channels between the trunk and the class maps."""
    bins: Annotated[tuple[Bins, ...], Field(max_length=32)] = (2, 4, 8, 16)
    """Grids that the class maps are averaged over, by their cells each way. A single grid is pooled without fusion;
    with none, the logit is the class map's mean (the paper's GAP baseline)."""
    fusion: Literal["gated", "ungated", "average"] = "gated"
    """How several bins become one: in pairs with learned gates, in pairs by their mean, or all at once by their
    mean."""
    order: Literal["coarse_to_fine", "fine_to_coarse"] = "coarse_to_fine"
    """Where the fusion in pairs starts."""
    warmup_epochs: Epochs = 18
    """First epochs, with classification only and no triplets."""
    triplet_batch_size: int | None = Field(32, ge=2, le=65_536)
    """Images per step once there are triplets; ``null``: as before. As in the authors' code, the learning rate still
    decays as if every step had ``optimisation.batch_size`` images, so it does not reach 0. Always ``null`` if
    attraction and repulsion both have the weight 0: the batch grows only for triplets."""
    classified_images: BatchSize | None = 8
    """Images of a step that enter the classification loss: the first 8 in the authors' code, even if the batch has 32.
    ``null``: all, as in the paper, and always if attraction and repulsion both have the weight 0."""
    classification_weight: Weight = 1.0
    """Weight of the classification loss."""
    attraction_weight: Weight = 0.2
    """Weight of the attraction between an image and the same image with its confident region erased; 0 switches it
    off."""
    repulsion_weight: Weight = 0.15
    """Weight of the repulsion from images without a common class; 0 switches it off."""
    embedding: Literal["pooled", "class_map"] = Field("pooled", exclude_if=lambda embedding: embedding == "pooled")
    """What a triplet compares: the images' pooled class maps, or the class maps as they are (the paper compares the
    two)."""
    masking: Literal["soft", "hard"] = "soft"
    """``soft``: the image times its map, and 0 where the map is confident; this darkens the background too, and the
    gradient flows through it. ``hard``: the image as it is, and 0 where the map is confident."""
    high_threshold: float = Field(0.6, gt=0, le=1)
    """Above this share of a map's maximum a region is confident, and erased."""
    low_threshold: float = Field(0.2, ge=0, le=1)
    """Below this share a region is not confident: the anchor's embedding is taken there."""
    margin: float = Field(0.5, ge=1e-9, le=1e9)
    """Triplets whose embeddings have at least this squared distance are easy, and left out."""
    negatives: Literal["authors", "disjoint"] = "authors"
    """Which image of the batch an image is repelled from. ``authors``: the first one without a common class, in an
    order that their code shuffles while it goes through it; after an image that finds no partner, the next image may
    get one with a common class. ``disjoint``: a random one without a common class; an image that finds no partner is
    left out, as in the paper."""
    fewest_hard_triplets: int = Field(5, ge=1, le=65_536)
    """Hard triplets that a batch needs for the repulsion; the authors' code wants more than 4."""
    optimisation: Optimisation = Optimisation(
        epochs=40, batch_size=8, learning_rate=0.01, head_factor=1, weight_decay=5e-4, momentum=AUTHORS_MOMENTUM
    )
    """How the network is trained; ``batch_size`` applies until the ``warmup_epochs`` are over."""
    augmentation: Augmentation = Augmentation(
        long_side=(256, 512),
        crop=320,
        colour_jitter=0.4,
        hue_jitter=0.1,
        jitter_probability=0.8,
        greyscale_probability=0.02,
    )
    """Random changes to a training image."""

    @model_validator(mode="before")
    @classmethod
    def _batch_grows_only_for_triplets(cls, content: Any) -> Any:
        weights = ("attraction_weight", "repulsion_weight")
        if isinstance(content, dict) and all(content.get(weight) == 0 for weight in weights):
            return {**content, "triplet_batch_size": None, "classified_images": None}
        return content

    @model_validator(mode="after")
    def _bins_rise(self) -> "AeftClassifier":
        if any(low >= high for low, high in zip(self.bins, self.bins[1:], strict=False)):
            raise ValueError(f"'bins' must be rising numbers from 1, not {list(self.bins)}")
        if self.low_threshold >= self.high_threshold:
            raise ValueError("'low_threshold' must be below 'high_threshold'")
        if len(self.bins) < 2 and self.fusion != "gated":
            raise ValueError(f"'fusion: {self.fusion}' is for two or more 'bins', not {list(self.bins)}")
        if self.order == "fine_to_coarse" and (len(self.bins) < 2 or self.fusion == "average"):
            raise ValueError("'order: fine_to_coarse' is for two or more 'bins' that are fused two by two")
        return self

    @model_validator(mode="after")
    def _every_loss_is_used(self) -> "AeftClassifier":
        epochs, batch_size = self.optimisation.epochs, self.optimisation.batch_size
        triplets = self.attraction_weight > 0 or self.repulsion_weight > 0
        if not triplets and self.classification_weight == 0:
            raise ValueError("the weights of all three losses are 0")
        if triplets and 0 < epochs <= self.warmup_epochs:
            raise ValueError(
                f"'warmup_epochs: {self.warmup_epochs}' leaves none of the {epochs} epochs for the triplets; make it "
                "smaller, or set 'attraction_weight' and 'repulsion_weight' to 0"
            )
        images = self.triplet_batch_size or batch_size
        if self.repulsion_weight > 0 and images < self.fewest_hard_triplets:
            raise ValueError(
                f"a batch of {images} images ('triplet_batch_size') can never give 'fewest_hard_triplets: "
                f"{self.fewest_hard_triplets}'"
            )
        if self.classified_images is not None and self.classified_images < batch_size:
            raise ValueError(
                f"'classified_images: {self.classified_images}' leaves images of 'optimisation.batch_size: "
                f"{batch_size}' without a loss before the triplets; give at least as many, or null for all"
            )
        return self


class SeenetClassifier(Classifier):
    """SeeNet (Hou et al., NeurIPS 2018): a second branch learns from what the first branch's attention leaves over,
    and is kept from spreading into the background.
    """

    objective: Literal["seenet"] = "seenet"
    """Three classifications: of the image, of the image with attention erased and background reversed, and of the
    background."""
    high_threshold: float = Field(0.7, gt=0, lt=1)
    """Above this share of its maximum, the first branch's attention is erased for the second branch."""
    low_threshold: float = Field(0.05, ge=0, lt=1)
    """Below this share lies background, where the sign of features is reversed for the second branch."""
    background_threshold: float | None = Field(None, gt=0, lt=1)
    """Below this share lies the background that the third branch sees. Default: the mean of the two above, as in the
    paper."""
    reverse_background: bool = True
    """C-ReLU reverses the sign of background features. ``false``: they stay as they are (the paper's ablation)."""
    background_branch: bool = True
    """Train the third branch, which must see no class in the background (S_C; it shares the second branch's
    weights)."""
    branch_channels: Channels = 512
    """Channels between a branch's convolutions, as on the authors' VGG-16; on a trunk with fewer channels, as many as
    the trunk has."""
    erased_gradient: Literal["authors", "exact"] = "authors"
    """Where the erasing stops the gradient at attended places: only in the first channel, as in the authors' code, or
    in all channels (``exact``)."""
    optimisation: Optimisation = Optimisation(
        epochs=38,
        batch_size=16,
        learning_rate=1e-3,
        momentum=0.9,
        head_factor=1,
        weight_decay=2e-4,
        milestones=(0.6,),
    )
    """How the network is trained. The paper makes 25,000 steps of 16 images, 38 epochs of train_aug's 10,582, and
    divides the rate by ten after 15,000."""
    augmentation: Augmentation = Augmentation(long_side=(256, 320), crop=256)
    """Random changes to a training image."""
    frozen_stem: bool = False
    """Do not train the backbone's first stage; the authors train all of it."""

    @model_validator(mode="after")
    def _thresholds_rise(self) -> "SeenetClassifier":
        if self.low_threshold >= self.high_threshold:
            raise ValueError("'low_threshold' must be below 'high_threshold'")
        if self.background_threshold is not None and not self.background_branch:
            raise ValueError("'background_threshold' is for background_branch: true")
        return self
