"""Settings of the stage `classifier`: one class per objective."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.guesses import Guesses
from wsss_core.config.numbers import BatchSize, Bins, Channels, Epochs, Weight
from wsss_core.config.paths import WeightsFile
from wsss_core.config.training import Augmentation, Cosine, Optimisation

CLIP_ES_BACKGROUND = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway"),
    *("railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley"),
    *("bridge", "sign"),
)
"""What CLIP-ES's code looks for besides VOC's classes."""
AUTHORS_MOMENTUM = 5e-4
"""OC-CSE's and AEFT's optimiser receives the weight decay in momentum's place."""


class Classifier(Guesses):
    """A network trained on image-level labels. Subclasses add their objective's settings."""

    alternatives: ClassVar[tuple[str, ...]] = ("start_from", "weights")
    has_class_maps: ClassVar[bool] = True
    """Whether the network has a map for each class, besides its scores."""

    backbone: str
    """Name of a variant in ``backbones``: the trunk, and its weights unless one of the next two is given."""
    start_from: str | None = None
    """Name of a variant in ``classifiers`` whose weights the network starts from, where names and shapes agree;
    at least the whole trunk. At most one of this and ``weights``."""
    weights: WeightsFile | None = None
    """Path of a classifier's file that the network starts from, such as an authors' checkpoint that
    ``python -m wsss_core import-weights`` turned into one. With ``epochs: 0`` it is used as it is."""
    freeze_batch_norm: bool = True
    """Keep batch normalisation's statistics and weights as they come with the backbone."""
    frozen_stem: bool = True
    """Keep the first layers as they come with the backbone: a residual network's first convolution and
    stage (IRN, AffinityNet), VGG-16's first stage, of timm's models all up to the map of stride 4."""
    optimisation: Optimisation = Optimisation()
    """How the network is fitted."""
    augmentation: Augmentation = Augmentation(long_side=(320, 640), crop=512)
    """Random changes to a training image."""

    @model_validator(mode="after")
    def _one_start(self) -> "Classifier":
        if self.start_from is not None and self.weights is not None:
            raise ValueError("give at most one of 'start_from' and 'weights'")
        if self.optimisation.epochs == 0 and self.weights is None:
            raise ValueError("'optimisation.epochs: 0' is for a classifier that is imported: give its 'weights'")
        return self


class OrdinaryClassifier(Classifier):
    """Multi-label classification: the baseline of the field."""

    objective: Literal["ordinary"] = "ordinary"
    """Multi-label soft margin loss on the mean of the class maps."""


class CgnetClassifier(Classifier):
    """CGNet / OC-CSE (Kweon et al., ICCV 2021): what is erased by a class's map shall hide the class, and
    nothing else, from a frozen ordinary classifier.
    """

    objective: Literal["cgnet"] = "cgnet"
    """Classification, and the frozen classifier's on the image with one class erased."""
    ordinary: str
    """Name of a variant in ``classifiers``: the ordinary classifier that judges the erased image."""
    erasing: Literal["class_specific", "class_agnostic", "none"] = "class_specific"
    """``class_specific``: one of the image's classes, drawn at random. ``class_agnostic`` (the paper's ablation):
    the largest of its classes' maps, after which no class shall be seen. ``none``: classification only; the other
    settings of erasing then do nothing."""
    erasing_weight: Weight = 0.3
    """Weight of the erased image's loss in the first epoch."""
    erasing_weight_growth: Weight = 0.05
    """What each epoch adds to that weight."""
    mask_maximum: Literal["batch", "image"] = "batch"
    """What the erasing map is divided by: the maximum over the whole batch, as the authors' code does, or over its
    own image, as the paper writes."""
    optimisation: Optimisation = Optimisation(
        epochs=15, batch_size=8, learning_rate=0.01, head_factor=1, weight_decay=5e-4, momentum=AUTHORS_MOMENTUM
    )
    """How the network is fitted. The last layer learns as slowly as the rest, as in the authors' code."""
    augmentation: Augmentation = Augmentation(long_side=(256, 448), crop=384, colour_jitter=0.3)
    """Random changes to a training image."""


class AeftClassifier(Classifier):
    """AEFT (Yoon et al., ECCV 2022): gated pyramid pooling, and triplets of an image, itself erased, and another."""

    objective: Literal["aeft"] = "aeft"
    """Classification, attraction to the erased image, repulsion from an image without common class."""
    feature_channels: Channels = 256
    """Channels between the trunk and the class maps."""
    bins: Annotated[tuple[Bins, ...], Field(max_length=32)] = (2, 4, 8, 16)
    """Cells, each way, that the class maps are averaged over. One alone is pooled by itself; with none, the logit is
    the class map's mean (the paper's GAP baseline)."""
    fusion: Literal["gated", "ungated", "average"] = "gated"
    """How several bins become one: two by two with learned gates, two by two by their mean, or all by their mean."""
    order: Literal["coarse_to_fine", "fine_to_coarse"] = "coarse_to_fine"
    """Where the fusion two by two starts."""
    warmup_epochs: Epochs = 18
    """Epochs of classification only, before the triplets."""
    triplet_batch_size: int | None = Field(32, ge=2, le=65_536)
    """Images in a step once there are triplets; ``null``: as before. As in the authors' code the learning rate still
    decays as if all steps had ``optimisation.batch_size``, and so does not reach 0. Always ``null`` when the weights of
    attraction and repulsion are both 0: the batch grows for triplets only."""
    classified_images: BatchSize | None = 8
    """Images of a step that the classification loss is taken of: the first 8 in the authors' code even when the
    batch has 32. ``null``: all, as the paper writes, and always when attraction and repulsion are both 0."""
    classification_weight: Weight = 1.0
    """Weight of the classification loss."""
    attraction_weight: Weight = 0.2
    """Weight of the attraction of an image to itself with its confident region erased; 0 switches it off."""
    repulsion_weight: Weight = 0.15
    """Weight of the repulsion from images without a common class; 0 switches it off."""
    embedding: Literal["pooled", "class_map"] = Field("pooled", exclude_if=lambda embedding: embedding == "pooled")
    """What images are compared by in a triplet: their pooled class maps, or the class maps as they are (the paper's
    comparison of the two)."""
    masking: Literal["soft", "hard"] = "soft"
    """``soft``: the image times its map, and 0 where the map is confident; it darkens the background too, and the
    gradient flows through it. ``hard``: the image as it is, and 0 where the map is confident."""
    high_threshold: float = Field(0.6, gt=0, le=1)
    """Above this share of a map's maximum a region is confident, and erased."""
    low_threshold: float = Field(0.2, ge=0, le=1)
    """Below this share a region is not confident: the anchor's embedding is taken there."""
    margin: float = Field(0.5, ge=1e-9, le=1e9)
    """Squared distance between embeddings from which on a triplet is easy, and left out."""
    negatives: Literal["authors", "disjoint"] = "authors"
    """Which image of the batch an image is repelled from. ``authors``: the first without a common class in an order
    that their code shuffles while it goes through it; after an image for which there is none, the next one may get
    one with a common class. ``disjoint``: any without a common class, at random; an image for which there is none is
    left out, as the paper writes."""
    fewest_hard_triplets: int = Field(5, ge=1, le=65_536)
    """Hard triplets that a batch must have for a repulsion; the authors' code wants more than 4."""
    optimisation: Optimisation = Optimisation(
        epochs=40, batch_size=8, learning_rate=0.01, head_factor=1, weight_decay=5e-4, momentum=AUTHORS_MOMENTUM
    )
    """How the network is fitted; ``batch_size`` holds until ``warmup_epochs`` are over."""
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
    def _the_batch_grows_for_triplets_only(cls, content: Any) -> Any:
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
    def _every_loss_has_its_turn(self) -> "AeftClassifier":
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
    """SeeNet (Hou et al., NeurIPS 2018): a second branch learns on what the first one's attention leaves over,
    and is kept from spreading into the background.
    """

    objective: Literal["seenet"] = "seenet"
    """Three classifications: of the image, of it without attention and with background reversed, of background."""
    high_threshold: float = Field(0.7, gt=0, lt=1)
    """Above this share of its maximum the first branch's attention is erased for the second."""
    low_threshold: float = Field(0.05, ge=0, lt=1)
    """Below this share is background, the sign of which is reversed for the second branch."""
    background_threshold: float | None = Field(None, gt=0, lt=1)
    """Below this share is the background that the third branch sees alone. By default the mean of the two above, as
    in the paper."""
    reverse_background: bool = True
    """C-ReLU reverses the sign of background features. Off: they stay as they are (the paper's ablation)."""
    background_branch: bool = True
    """The third branch, which shall see no class in the background (S_C; it shares the second one's weights)."""
    branch_channels: Channels = 512
    """Channels between a branch's convolutions, as on the authors' VGG-16; a trunk with fewer has its own number
    there."""
    erased_gradient: Literal["authors", "exact"] = "authors"
    """Gradient of the erasing: the authors' code stops it at attention only in the first channel; ``exact`` stops it
    in all."""
    optimisation: Optimisation = Optimisation(
        epochs=38,
        batch_size=16,
        learning_rate=1e-3,
        momentum=0.9,
        head_factor=1,
        weight_decay=2e-4,
        milestones=(0.6,),
    )
    """How the network is fitted. The paper: 25,000 iterations of 16 images, which are 38 epochs of train_aug's 10,582;
    the rate is divided by ten after 15,000."""
    augmentation: Augmentation = Augmentation(long_side=(256, 320), crop=256)
    """Random changes to a training image."""
    frozen_stem: bool = False
    """Keep the first stage as it comes with the backbone; the authors train all of it."""

    @model_validator(mode="after")
    def _thresholds_rise(self) -> "SeenetClassifier":
        if self.low_threshold >= self.high_threshold:
            raise ValueError("'low_threshold' must be below 'high_threshold'")
        if self.background_threshold is not None and not self.background_branch:
            raise ValueError("'background_threshold' is for background_branch: true")
        return self


class MctformerClassifier(Classifier):
    """MCTformer+ (Xu et al., TPAMI 2024): a vision transformer with a token per class, each to attend to its class."""

    objective: Literal["mctformer"] = "mctformer"
    """Classification by class tokens and by patches, and class tokens that differ; on a vision transformer."""
    contrast_weight: Weight = 1.0
    """Weight of the loss that wants an image's class tokens to differ in direction; 0 switches it off."""
    contrast_layers: int = Field(12, ge=1, le=1_000)
    """It is taken of the tokens after so many blocks, the last ones; of all if there are fewer."""
    ranking_decay: float = Field(0.996, gt=0, le=1)
    """A patch's share in its class's logit: this to the power of its rank. 1 is the plain mean."""
    drop_path: float = Field(0.1, ge=0, lt=1)
    """Share of the images that skip the last block in training; it rises from 0 in the first one."""
    frozen_stem: bool = False
    """Keep the patches' embedding as it comes with the backbone; the authors train it."""
    optimisation: Optimisation = Optimisation(
        optimizer="adamw",
        epochs=45,
        batch_size=32,
        learning_rate=3.125e-5,
        head_factor=1,
        weight_decay=0.05,
        cosine=Cosine(),
    )
    """How the network is fitted: 5e-4 for 512 images, as the authors scale it. Biases, weights of one dimension and
    class tokens do not decay."""
    augmentation: Augmentation = Augmentation(area=(0.08, 1.0), crop=448, erasing=0.25)
    """Random changes to a training image. ``crop`` is also the size that positions are learned for. The authors also
    change colours and shapes by RandAugment, which is not here."""

    @model_validator(mode="after")
    def _layers_are_used(self) -> "MctformerClassifier":
        if not self.contrast_weight and self.contrast_layers != type(self).model_fields["contrast_layers"].default:
            raise ValueError("'contrast_layers' belongs to a 'contrast_weight' above 0")
        return self


class ClipClassifier(Classifier):
    """CLIP's image tower, and texts that say what the classes are (CLIP-ES; Lin et al., CVPR 2023). Nothing is
    trained.
    """

    has_class_maps: ClassVar[bool] = False

    objective: Literal["clip"] = "clip"
    """An image shows a class if it is closer to the class's text than to all texts of the background together."""
    weights: WeightsFile
    """Path of an image tower's file, which ``python -m wsss_core import-weights --format clip`` made."""
    text_features: WeightsFile
    """Path of the texts' features, a .safetensors file that ``python -m wsss_core text-features`` makes."""
    template: str = Field("a clean origami {}.", pattern=r"^[^{}]*\{\}[^{}]*$", max_length=1_000)
    """The sentence that a class's description is put into, at ``{}``."""
    descriptions: dict[str, Annotated[str, Field(min_length=1, max_length=1_000)]] = {}
    """By class, what is put there in place of its name, such as a synonym."""
    background: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1_000)], ...], Field(min_length=1)] = (
        CLIP_ES_BACKGROUND
    )
    """Descriptions of what is no class. By default those of CLIP-ES's code for VOC."""
    optimisation: Optimisation = Optimisation(epochs=0)
    """``epochs`` is 0: nothing is trained."""

    @model_validator(mode="after")
    def _is_not_trained(self) -> "ClipClassifier":
        if self.optimisation.epochs > 0:
            raise ValueError("'optimisation.epochs' must be 0: objective clip has nothing to train")
        own = type(self).model_fields
        for key in ("augmentation", "freeze_batch_norm", "frozen_stem"):
            if getattr(self, key) != own[key].default:
                raise ValueError(f"'{key}' is for training, and objective clip has nothing to train; leave it out")
        for key, default in own["optimisation"].default:
            if key != "seed" and getattr(self.optimisation, key) != default:
                raise ValueError(
                    f"'optimisation.{key}' is for training, and objective clip has nothing to train; leave it out"
                )
        return self

    @model_validator(mode="after")
    def _background_is_there_once(self) -> "ClipClassifier":
        twice = next((text for at, text in enumerate(self.background) if text in self.background[:at]), None)
        if twice is not None:
            raise ValueError(f"'background' has '{twice}' twice, which would count twice")
        return self

    def texts(self, classes: Sequence[str]) -> list[str]:
        """The sentences of classes, in their order."""
        return [self.template.replace("{}", self.descriptions.get(name, name)) for name in classes]

    def background_texts(self) -> list[str]:
        """The sentences of what is no class."""
        return [self.template.replace("{}", description) for description in self.background]
