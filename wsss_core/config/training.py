"""Settings that every training has: optimisation and augmentation."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.numbers import BatchSize, Epochs, Factor, Scale, Seed
from wsss_core.config.parameters import Parameters, Scales

Side = Annotated[int, Field(ge=8, le=16_384)]
"""Height or width, pixels."""


class Cosine(Parameters):
    """A learning rate that changes once an epoch: a linear warm-up, then half a cosine (timm's schedule)."""

    final_rate: float = Field(1e-5, ge=0, le=1_000)
    """What the rate falls to, with the whole training as half a period; it does not depend on ``learning_rate``."""
    warmup_epochs: int = Field(5, ge=0, le=100_000)
    """First epochs, in which the rate rises in equal steps from ``warmup_rate`` instead."""
    warmup_rate: float = Field(1e-6, ge=0, le=1_000)
    """Rate of the first and the second epoch: like timm's, the schedule is one epoch behind."""

    @property
    def fewest_epochs(self) -> int:
        """Epochs of the shortest training that reaches the whole rate."""
        return self.warmup_epochs + 2 if self.warmup_epochs else 1

    def rate(self, epoch: int, epochs: int, learning_rate: float) -> float:
        """The rate in ``epoch`` (from 0) of a training of ``epochs``."""
        behind = max(epoch - 1, 0)
        if behind < self.warmup_epochs:
            return self.warmup_rate + behind * (learning_rate - self.warmup_rate) / self.warmup_epochs
        fallen = (1 + math.cos(math.pi * behind / epochs)) / 2
        return self.final_rate + (learning_rate - self.final_rate) * fallen


class Optimisation(Parameters):
    """How a network's weights are trained."""

    belongs_to: ClassVar[Mapping[str, str]] = {"momentum": "optimizer"}

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """``sgd`` as the authors of the methods use, or ``adamw``."""
    epochs: Epochs = 5
    """Passes over the training images."""
    batch_size: BatchSize = 16
    """Images in one step; a last smaller batch is dropped unless it is the only one."""
    learning_rate: float = Field(0.1, ge=1e-30, le=1_000)
    """Learning rate of the trunk at the first step (after warm-up)."""
    head_factor: Factor = 10.0
    """New layers learn at ``learning_rate`` times this."""
    weight_decay: float = Field(1e-4, ge=0, le=100)
    """L2 penalty (``sgd``) or decoupled decay (``adamw``)."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """Momentum, only for ``sgd``. The authors' code of IRN and AffinityNet has almost 0: their optimiser receives the
    weight decay in momentum's place."""
    power: float = Field(0.9, ge=0.01, le=100)
    """Exponent of the decay: the rate of step s of S is ``learning_rate * (1 - s / S) ** power``."""
    decay_every: int = Field(1, ge=1, le=1_000_000)
    """Steps between two changes of the decaying rate (deeplab-pytorch: 10)."""
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(max_length=32)] = ()
    """Shares of all steps after which the rate is divided by ten. If there are any, they replace the polynomial decay
    (SeeNet: 0.6)."""
    warmup_steps: int = Field(0, ge=0, le=100_000_000)
    """Steps over which the rate rises linearly from 0 before it decays."""
    cosine: Cosine | None = Field(None, exclude_if=lambda cosine: cosine is None)
    """A rate that changes once an epoch, along a cosine, instead of the polynomial decay and ``warmup_steps``
    (MCTformer+)."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the forward and backward pass. ``tf32`` lets GPUs since NVIDIA's Ampere round the factors of
    convolutions to 11 bits, which is faster; other devices compute in float32. ``bfloat16`` (autocast) is faster on
    GPUs and processors that have it and takes less memory; weights, their updates and losses stay in float32."""
    seed: Seed = 0
    """Seed of initialisation, image order and augmentation."""

    @model_validator(mode="after")
    def _momentum_is_used(self) -> "Optimisation":
        if self.optimizer == "adamw" and self.momentum:
            raise ValueError("'momentum' belongs to optimizer: sgd; adamw would ignore it")
        return self

    @model_validator(mode="after")
    def _one_decay(self) -> "Optimisation":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"'milestones' must rise, not be {list(self.milestones)}")
        for key in ("power", "decay_every"):
            if self.milestones and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"'{key}' belongs to the polynomial decay, which 'milestones' replace")
        if self.cosine is not None and 0 < self.epochs < self.cosine.fewest_epochs:
            raise ValueError(
                f"'cosine.warmup_epochs: {self.cosine.warmup_epochs}' needs at least {self.cosine.fewest_epochs} "
                "epochs, as the rate reaches 'learning_rate' one epoch after the warm-up; in "
                f"{self.epochs} it never does: make the warm-up shorter, or 0"
            )
        for key in ("power", "decay_every", "milestones", "warmup_steps"):
            if self.cosine is not None and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"'{key}' belongs to another decay, which 'cosine' replaces")
        return self


class Augmentation(Parameters):
    """Random changes to a training image and its label map."""

    alternatives: ClassVar[tuple[str, ...]] = ("long_side", "scale", "scales", "area")

    long_side: tuple[Side, Side] | None = None
    """Resize so that the longer side is uniform in this range, pixels. At most one of this, ``scale``,
    ``scales`` and ``area``."""
    scale: tuple[Scale, Scale] | None = None
    """Resize by a factor uniform in this range."""
    scales: Scales | None = None
    """Resize by one of these factors (deeplab-pytorch)."""
    area: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] | None = Field(
        None, exclude_if=lambda area: area is None
    )
    """Cut out a part whose share of the image's area is in this range, with a shape between 3 : 4 and 4 : 3, and resize
    it to the crop (torchvision's ``RandomResizedCrop``; MCTformer+)."""
    crop: Side = 512
    """Height and width of the random crop, pixels; smaller images are padded (labels with 255)."""
    flip: bool = True
    """Mirror left and right with probability 1/2."""
    colour_jitter: float = Field(0.0, ge=0, le=1)
    """Random change of brightness, contrast and saturation by up to this share."""
    hue_jitter: float | None = Field(None, ge=0, le=0.5)
    """Random shift of the hue by up to this share of the colour circle; a third of ``colour_jitter`` by default."""
    jitter_probability: float = Field(1.0, gt=0, le=1)
    """Share of the images whose colours are changed."""
    greyscale_probability: float = Field(0.0, ge=0, le=1)
    """Share of the images that lose their colours."""
    erasing: float = Field(0.0, ge=0, le=1, exclude_if=lambda erasing: erasing == 0)
    """Share of the images in which a rectangle of 2 % to a third of the crop becomes noise (timm's; MCTformer+)."""

    @model_validator(mode="after")
    def _ranges(self) -> "Augmentation":
        if sum(getattr(self, key) is not None for key in self.alternatives) > 1:
            raise ValueError("give at most one of 'long_side', 'scale', 'scales' and 'area'")
        for key in ("long_side", "scale", "area"):
            ends = getattr(self, key)
            if ends is not None and ends[0] > ends[1]:
                raise ValueError(f"'{key}' must be [smallest, largest], not {list(ends)}")
        return self
