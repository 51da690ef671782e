"""Settings of classifiers that use the tokens of a vision transformer."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.classifiers import Classifier
from wsss_core.config.numbers import Weight
from wsss_core.config.paths import WeightsFile
from wsss_core.config.training import Augmentation, Cosine, Optimisation

CLIP_ES_BACKGROUND = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway"),
    *("railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley"),
    *("bridge", "sign"),
)
"""CLIP-ES's descriptions of the background, for VOC's classes."""


class MctformerClassifier(Classifier):
    """MCTformer+ (Xu et al., TPAMI 2024): a vision transformer with one token per class, which learns to attend to its
    class.
    """

    objective: Literal["mctformer"] = "mctformer"
    """Classification by class tokens and by patches, with class tokens that differ; needs a vision transformer."""
    contrast_weight: Weight = 1.0
    """Weight of the loss that makes an image's class tokens differ in direction; 0 switches it off."""
    contrast_layers: int = Field(12, ge=1, le=1_000)
    """Number of last blocks whose class tokens enter that loss; all blocks if there are fewer."""
    ranking_decay: float = Field(0.996, gt=0, le=1)
    """A patch's weight in its class's logit is this to the power of its rank. 1 is the plain mean."""
    drop_path: float = Field(0.1, ge=0, lt=1)
    """Share of the images that skip the last block in training; it rises from 0 in the first block."""
    frozen_stem: bool = False
    """Do not train the patch embedding; the authors train it."""
    optimisation: Optimisation = Optimisation(
        optimizer="adamw",
        epochs=45,
        batch_size=32,
        learning_rate=3.125e-5,
        head_factor=1,
        weight_decay=0.05,
        cosine=Cosine(),
    )
    """How the network is trained. The rate is 5e-4 for 512 images, scaled as the authors do. Biases, one-dimensional
    weights and class tokens have no weight decay."""
    augmentation: Augmentation = Augmentation(area=(0.08, 1.0), crop=448, erasing=0.25)
    """Random changes to a training image. ``crop`` is also the size that positions are learned for. The authors also
    change colours and shapes with RandAugment, which is not implemented here."""

    @model_validator(mode="after")
    def _layers_are_used(self) -> "MctformerClassifier":
        if not self.contrast_weight and self.contrast_layers != type(self).model_fields["contrast_layers"].default:
            raise ValueError("'contrast_layers' belongs to a 'contrast_weight' above 0")
        return self


class ClipClassifier(Classifier):
    """CLIP's image tower, and texts that describe the classes (CLIP-ES; Lin et al., CVPR 2023). Nothing is trained."""

    has_class_maps: ClassVar[bool] = False

    objective: Literal["clip"] = "clip"
    """An image shows a class if it is closer to the class's text than to all background texts together."""
    weights: WeightsFile
    """Path of an image tower's file, made by ``python -m wsss_core import-weights --format clip``."""
    text_features: WeightsFile
    """Path of the texts' features, a .safetensors file made by ``python -m wsss_core text-features``."""
    template: str = Field("a clean origami {}.", pattern=r"^[^{}]*\{\}[^{}]*$", max_length=1_000)
    """The sentence that each class's description is inserted into, at ``{}``."""
    descriptions: dict[str, Annotated[str, Field(min_length=1, max_length=1_000)]] = {}
    """By class, what is inserted instead of its name, such as a synonym."""
    background: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1_000)], ...], Field(min_length=1)] = (
        CLIP_ES_BACKGROUND
    )
    """Descriptions of the background. Default: those in CLIP-ES's code for VOC."""
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
    def _background_has_no_duplicates(self) -> "ClipClassifier":
        twice = next((text for at, text in enumerate(self.background) if text in self.background[:at]), None)
        if twice is not None:
            raise ValueError(f"'background' has '{twice}' twice, and it would count twice")
        return self

    def texts(self, classes: Sequence[str]) -> list[str]:
        """The sentences of classes, in their order."""
        return [self.template.replace("{}", self.descriptions.get(name, name)) for name in classes]

    def background_texts(self) -> list[str]:
        """The sentences of the background."""
        return [self.template.replace("{}", description) for description in self.background]
