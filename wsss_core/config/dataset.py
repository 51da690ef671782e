"""What the data set is and where its images lie."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.parameters import Parameters

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike",
    "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
"""The twenty object classes of PASCAL VOC, in the order of their palette indices 1 to 20."""

CREATURE_CLASSES = (
    "cyanring_newt",
    "redbar_turtle",
    "yellowspot_toad",
    "greenhalf_newt",
    "bluecross_turtle",
    "magentawedge_toad",
)
"""The classes of the embedded data set, named after head and body; i and i + 3 share a body."""


class Creatures(Parameters):
    """The embedded data set: small generated pictures of creatures (docs/creatures.md)."""

    train_images: int = Field(500, ge=1)
    """Images of the training list."""
    val_images: int = Field(150, ge=1)
    """Images of the validation list."""
    size: int = Field(96, ge=32)
    """Height and width of an image, pixels."""
    headless: float = Field(0.2, ge=0, le=1)
    """Share of objects without their discriminative part, the head."""
    seed: int = Field(0, ge=0)
    """Seed of the generator; the same seed gives the same bytes."""


class Splits(Parameters):
    """Which image lists (``ImageSets/Segmentation/<name>.txt``) play which part."""

    train: str = "train"
    """List of the images that networks are trained on and CAMs are drawn for."""
    val: str = "val"
    """List of the images that the segmentation network is judged on."""
    test: str | None = None
    """List of images that come without labels and masks. ``snakemake voc_submission`` makes their label maps, which the
    VOC server scores; nothing else looks at them."""


class Dataset(Parameters):
    """A data set on disk, or one to be generated first."""

    alternatives: ClassVar[tuple[str, ...]] = ("root", "generate")

    name: str = Field("creatures", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the folder in ``results/`` that everything made from this data set goes to."""
    format: Literal["voc"] = "voc"
    """Layout of the folder: ``voc`` is the PASCAL VOC devkit's (JPEGImages, Annotations, ...)."""
    root: Path | None = None
    """Folder that holds JPEGImages, Annotations and ImageSets; not given with ``generate``."""
    generate: Creatures | None = None
    """Generate the embedded data set instead of reading one from ``root``."""
    classes: tuple[str, ...] = Field(VOC_CLASSES, min_length=1)
    """Names of the object classes without the background; class i has the mask value i + 1.
    Left out together with ``generate``, they are those of the embedded data set."""
    splits: Splits = Splits()
    """Image lists for training, validation and the VOC server's test."""

    @model_validator(mode="before")
    @classmethod
    def _generated_classes(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("generate") is not None:
            return {"classes": CREATURE_CLASSES, **values}
        return values

    @model_validator(mode="after")
    def _one_source(self) -> "Dataset":
        if (self.root is None) == (self.generate is None):
            raise ValueError("give exactly one of 'root' (a folder) and 'generate' (settings)")
        if self.generate is not None and self.classes != CREATURE_CLASSES:
            names = ", ".join(CREATURE_CLASSES)
            raise ValueError(f"a generated data set has the classes {names}; leave 'classes' out")
        if self.generate is not None and self.splits.test is not None:
            raise ValueError("a generated data set has no list for 'splits.test'; leave it out")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("'classes' names a class twice")
        if len(self.classes) > 254:
            raise ValueError("'classes' has over 254 names; masks are 8-bit with 255 for 'ignore'")
        if any(not name or ";" in name or name == "background" for name in self.classes):
            raise ValueError("class names must not be empty, hold ';' or be 'background'")
        return self
