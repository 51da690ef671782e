"""Settings of training on the masks of some images, and on pseudo labels or nothing for the others."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from wsss_core.config.numbers import Weight
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import File


class MasksOf(Parameters):
    """Images whose masks a segmenter is trained on, and how they are mixed with the others."""

    short_for: ClassVar[str | None] = "file"
    short_type: ClassVar[str | None] = "string"

    alternatives: ClassVar[tuple[str, ...]] = ("file", "folder")

    file: File | None = None
    """A text file with ids of training images that have masks, one per line. A plain path in place of the block is
    short for this. Exactly one of this and ``folder``."""
    folder: File | None = None
    """A folder of masks that a person corrected, ``<image id>.png``, as ``python -m wsss_core labels import`` makes it.
    The data set itself needs no masks."""
    share: float | None = Field(None, ge=0.001, le=0.999)
    """Share of these images in each step, to within one image, and exactly on average over the epochs; an epoch has as
    many steps as without it. Default: every image comes once per epoch."""
    pseudo_weight: Weight = 1.0
    """Weight of a pseudo label's pixel in the loss; a mask's pixel has 1. The weighted sum is divided by the number of
    pixels, so that the loss of a step with only pseudo labels is smaller; with 0 they are not counted either."""

    @model_validator(mode="after")
    def _one_source(self) -> "MasksOf":
        if (self.file is None) == (self.folder is None):
            raise ValueError("give exactly one of 'file' (a list of images) and 'folder' (corrected masks)")
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that determine a training, as JSON values; only the given one of ``file`` and ``folder``."""
        unused = "folder" if self.folder is None else "file"
        return self.model_dump(mode="json", exclude={unused})

    @property
    def source(self) -> str:
        """The list or the folder."""
        return str(self.folder or self.file)


class AuxiliaryDecoders(Parameters):
    """How many auxiliary decoders see each kind of perturbed features (the authors' ``configs/config.json``)."""

    noise: int = Field(6, ge=0, le=100)
    """Every feature is multiplied by 1 + u, u uniform in -0.3..0.3."""
    drop: int = Field(6, ge=0, le=100)
    """The places of the strongest features, above 0.7 to 0.9 of the largest channel mean, are set to 0."""
    dropout: int = Field(6, ge=0, le=100)
    """Half of the channels are set to 0."""
    cutout: int = Field(6, ge=0, le=100)
    """In the bounding box of every object that the main decoder sees, a random part of 0.4 of each side is set to 0."""
    without_objects: int = Field(2, ge=0, le=100)
    """Places that the main decoder takes for objects are set to 0."""
    without_context: int = Field(2, ge=0, le=100)
    """Places that the main decoder takes for background are set to 0."""
    adversarial: int = Field(2, ge=0, le=100)
    """A step of length 2 is added in the direction that changes the auxiliary decoder's result most."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of decoders by kind of perturbation."""
        return self.model_dump()

    @model_validator(mode="after")
    def _some(self) -> "AuxiliaryDecoders":
        if not any(self.counts.values()):
            raise ValueError("at least one decoder is needed; 'consistency: null' trains without")
        return self


class Consistency(Parameters):
    """Cross-consistency training (Ouali et al., CVPR 2020) on the images without masks.

    Auxiliary decoders see perturbed features, and learn to give the main decoder's probabilities.
    """

    decoders: AuxiliaryDecoders = AuxiliaryDecoders()
    """How many auxiliary decoders see each kind of perturbation. They are not part of the trained network."""
    weight: float = Field(30.0, ge=1e-6, le=1e6)
    """Weight of the mean squared difference of probabilities, after the ramp-up."""
    pseudo_weight: Weight = 0.4
    """Weight, after the ramp-up, of the auxiliary decoders' own loss on pseudo labels; images without labels have no
    such loss."""
    ramp_up: float = Field(0.1, ge=0, le=1)
    """Share of all steps over which both weights rise, as exp(-5 (1 - t)^2) for t from 0 to 1."""
