"""What the data set is and where its images lie; a class of settings for each layout on the disk."""

import unicodedata
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.numbers import Seed
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import File, Folder
from wsss_core.config.wording import NAME

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike",
    "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
"""The twenty object classes of PASCAL VOC, in the order of their palette indices 1 to 20."""

# fmt: off
COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)
# fmt: on
"""The eighty object classes of MS-COCO, in the order of their ids (1 to 90, with gaps)."""

CREATURE_CLASSES = (
    "cyanring_newt",
    "redbar_turtle",
    "yellowspot_toad",
    "greenhalf_newt",
    "bluecross_turtle",
    "magentawedge_toad",
)
"""The classes of the embedded data set, named after head and body; i and i + 3 share a body."""


MOST_CLASSES = 1000
"""Classes that a data set may have, without the background. More would fit into the files; nobody has tried."""


class Creatures(Parameters):
    """The embedded data set: small generated pictures of creatures (docs/creatures.md)."""

    train_images: int = Field(500, ge=1, le=1_000_000)
    """Images of the training list."""
    val_images: int = Field(150, ge=1, le=1_000_000)
    """Images of the validation list."""
    size: int = Field(96, ge=32, le=4_096)
    """Height and width of an image, pixels."""
    headless: float = Field(0.2, ge=0, le=1)
    """Share of objects without their discriminative part, the head."""
    seed: Seed = 0
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


class CocoSplits(Parameters):
    """Which of MS-COCO's image folders play which part."""

    train: str = "train2014"
    """Folder of the images that networks are trained on; ``annotations/instances_<name>.json`` describes them."""
    val: str = "val2014"
    """Folder of the images that the segmentation network is judged on, with its own ``instances_<name>.json``."""


class Dataset(Parameters):
    """A data set on disk: what the settings of every layout have in common."""

    name: str = Field("creatures", pattern=NAME)
    """Name of the folder in ``results/`` that everything made from this data set goes to."""
    format: str = "voc"
    """Layout of the folder."""
    root: Folder | None = None
    """Folder that holds the data set."""
    on_fault: Literal["stop", "skip"] = "stop"
    """What becomes of images with a fault (missing, unreadable, of an unknown class, ...): ``stop`` tells all faults
    and makes nothing; ``skip`` goes on without those images and records them in ``skipped.csv``."""
    negatives: Literal["none", "listed", "all"] = "none"
    """Which images without any class networks are trained on, as examples that show none of the classes: ``none``;
    ``listed``, those that the data set itself says to show none; or ``all`` others, too."""
    long_side: int | None = Field(None, ge=64, le=100_000)
    """Images whose longer side has more pixels than this are shrunk to it, once, as copies in the results; their masks
    too. All stages use the copies: label maps have their size, and are scored at it. By default images are used as they
    are."""
    saliency: Folder | None = None
    """Folder of saliency maps, one of each training image: ``<image id>.png``, 8-bit grey, of the image's size, from 0
    (background) to 255 (salient). Pseudo labels with ``background: {saliency: ...}`` are made with them; nothing else
    sees them."""
    score_on: File | None = None
    """Training images that class maps, refined seeds and pseudo labels are scored on: a text file with an id a line, or
    with VOC's layout the name of an image list. By default all of them; where VOC trains on ``train_aug``, its
    ``train``, as the published figures are (``score_on: train_aug`` is all)."""

    @property
    def scored_list(self) -> str | None:
        """The list of the training images that are scored, a name or a file; None: all are."""
        return self.score_on

    @property
    def scored_val(self) -> Literal["all", "with_objects"]:
        """Which validation images predictions are scored on."""
        return "all"

    @property
    def generated(self) -> Creatures | None:
        """Settings of the data set to generate first, if it is generated."""
        return None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the object classes without the background; None if only the data set's own files tell them."""
        return None

    @property
    def test_list(self) -> str | None:
        """The list of images without labels, if there is one."""
        return None

    @property
    def for_masks(self) -> tuple[str, ...]:
        """Settings that masks alone depend on: changing them makes the masks anew, and no index and no network."""
        return ()


class VocDataset(Dataset):
    """A data set in the PASCAL VOC devkit's layout, or one to be generated in it first."""

    alternatives: ClassVar[tuple[str, ...]] = ("root", "generate")

    format: Literal["voc"] = "voc"
    """Layout of the folder: ``voc`` is the PASCAL VOC devkit's (JPEGImages, Annotations, ...)."""
    generate: Creatures | None = None
    """Generate the embedded data set instead of reading one from ``root``."""
    classes: tuple[str, ...] = Field(VOC_CLASSES, min_length=1)
    """Names of the object classes without the background; class i has the mask value i + 1.
    Left out together with ``generate``, they are those of the embedded data set."""
    splits: Splits = Splits()
    """Image lists for training, validation and the VOC server's test."""
    difficult: bool = True
    """Whether objects that annotations mark as ``difficult`` count: the authors of the methods count them. Training
    images that show nothing else are then images without any class, see ``negatives``."""
    negatives: Literal["none", "listed"] = "none"
    """Training images without any class: ``none`` leaves them out, as the authors do; ``listed`` trains networks on
    them, as examples that show none of the classes."""
    sbd: Folder | None = None
    """The Semantic Boundaries Dataset, whose masks join VOC's own: the folder that its archive unpacks to (with
    ``dataset/cls/<id>.mat``), or a folder of PNG masks, ``<id>.png``, known as SegmentationClassAug. With it,
    ``splits.train: train_aug`` needs no list: it is computed, from SBD's lists and VOC's ``train`` less VOC's
    ``val``."""

    @property
    def generated(self) -> Creatures | None:
        """Settings of the data set to generate first, if it is generated."""
        return self.generate

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the object classes without the background."""
        return self.classes

    @property
    def scored_list(self) -> str | None:
        """The name of the list of the training images that are scored; None: all are."""
        of_papers = "train" if self.splits.train == "train_aug" else None
        scored = self.score_on or of_papers
        return None if scored == self.splits.train else scored

    @property
    def test_list(self) -> str | None:
        """The list of images without labels, if there is one."""
        return self.splits.test

    @property
    def for_masks(self) -> tuple[str, ...]:
        """Settings that masks alone depend on: SBD is one, unless the list of training images comes from it."""
        return () if self.splits.train == "train_aug" else ("sbd",)

    @model_validator(mode="before")
    @classmethod
    def _generated_classes(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("generate") is not None:
            return {"classes": CREATURE_CLASSES, **values}
        return values

    @model_validator(mode="after")
    def _one_source(self) -> "VocDataset":
        if (self.root is None) == (self.generate is None):
            raise ValueError("give exactly one of 'root' (a folder) and 'generate' (settings)")
        if self.generate is not None and self.classes != CREATURE_CLASSES:
            names = ", ".join(CREATURE_CLASSES)
            raise ValueError(f"a generated data set has the classes {names}; leave 'classes' out")
        if self.generate is not None and self.splits.test is not None:
            raise ValueError("a generated data set has no list for 'splits.test'; leave it out")
        if self.long_side is not None and self.splits.test is not None:
            raise ValueError(
                "'long_side' makes label maps of shrunken images, but the VOC server wants those of 'splits.test' at "
                "full size; leave one of the two out"
            )
        if self.generate is not None and self.score_on is not None:
            raise ValueError("a generated data set is scored on all training images; leave 'score_on' out")
        if self.generate is not None and self.sbd is not None:
            raise ValueError("a generated data set has all its masks; leave 'sbd' out")
        check_class_names(self.classes)
        return self


class CocoDataset(Dataset):
    """A data set described by MS-COCO's ``instances_*.json``."""

    format: Literal["coco"]
    """Layout of the folder: ``coco`` is MS-COCO's (a folder of images per split, and ``annotations``)."""
    root: Folder
    """Folder that holds the image folders and ``annotations/instances_<split>.json``."""
    classes: tuple[str, ...] = Field(COCO_CLASSES, min_length=1)
    """Names of the object classes without the background, as the JSON files name them; class i has the mask value
    i + 1, whatever its id in the files."""
    splits: CocoSplits = CocoSplits()
    """Image folders for training and validation."""
    negatives: Literal["none", "listed"] = "none"
    """Training images without any object: ``none`` leaves them out, as the authors do; ``listed`` trains networks on
    them, as examples that show none of the classes."""
    crowds: Literal["ignored", "objects"] = "ignored"
    """What masks make of regions with ``iscrowd: 1``: ``ignored`` as in MS-COCO, where they are groups that nobody took
    apart; or ``objects`` as all others. CVAT's export marks every mask that was drawn with a brush so."""
    score_val: Literal["all", "with_objects"] = "all"
    """Validation images that predictions are scored on: ``all``, those without any object as background (MS-COCO 2014:
    40,504); or those ``with_objects``, which many papers score (40,137). Nothing else depends on it."""
    stuff_masks: Folder | None = None
    """Folder of COCO-Stuff's pixel maps (``<image id>.png``, also in folders by split, or as unpacked from
    ``stuffthingmaps_trainval2017.zip``): masks come from them instead of from the objects' outlines."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the object classes without the background."""
        return self.classes

    @property
    def scored_val(self) -> Literal["all", "with_objects"]:
        """Which validation images predictions are scored on."""
        return self.score_val

    @property
    def for_masks(self) -> tuple[str, ...]:
        """Settings that masks alone depend on."""
        return ("stuff_masks", "crowds")

    @model_validator(mode="after")
    def _right_classes(self) -> "CocoDataset":
        check_class_names(self.classes)
        if self.stuff_masks is not None and self.crowds == "objects":
            raise ValueError("with 'stuff_masks' no mask is drawn from the objects; leave 'crowds' out")
        return self


class FolderDataset(Dataset):
    """A folder of images and a table of their labels."""

    format: Literal["folder"]
    """Layout of the folder: ``folder`` is a folder of images and a CSV file of labels."""
    root: Folder
    """Folder that holds the image folder and the tables."""
    classes: tuple[str, ...] | None = Field(None, min_length=1)
    """Names of the object classes without the background, in the order of their mask values (class i has i + 1);
    by default those that the table of labels has, in its columns' order or sorted."""
    val_share: float = Field(0.2, ge=1e-4, le=0.9999)
    """Share of the labelled images that becomes the validation split where there is no ``splits.csv``. Each image's
    part hangs on its own id alone, so it stays when others are added."""
    negatives: Literal["none", "listed", "all"] = "listed"
    """Training images without any class: ``listed`` trains networks on those that have a row in the table with no
    label, as examples that show none of the classes, and leaves those without a row out, as nobody says what they show;
    ``all`` trains on both, so that a table need not name what shows nothing; ``none`` leaves both out."""
    split_seed: Seed = 0
    """Another number draws another validation split."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the object classes without the background, if the configuration gives them."""
        return self.classes

    @model_validator(mode="after")
    def _right_classes(self) -> "FolderDataset":
        check_class_names(self.classes or ())
        return self


DATASET_FORMATS: dict[str, type[Dataset]] = {"voc": VocDataset, "coco": CocoDataset, "folder": FolderDataset}
"""The settings of each layout, by the key ``format``."""


def check_class_names(classes: tuple[str, ...]) -> None:
    """Refuse class names that masks, tables or people could not tell apart.

    Raises:
        ValueError: saying what is wrong with the names.
    """
    if len(set(classes)) != len(classes):
        raise ValueError("'classes' names a class twice")
    if len(classes) > MOST_CLASSES:
        raise ValueError(f"'classes' has {len(classes)} names; at most {MOST_CLASSES} are supported")
    for name in classes:
        if not name or ";" in name or name == "background":
            raise ValueError(f"class names must not be empty, hold ';' or be 'background': {name!r}")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise ValueError(f"class names must not hold control characters: {name!r}")


def dataset_settings(values: dict[str, Any]) -> Dataset:
    """The settings of a data set from plain values, by their ``format`` (``voc`` if there is none).

    Raises:
        KeyError: there is no such format.
        pydantic.ValidationError: the values are not right.
    """
    return DATASET_FORMATS[values.get("format", "voc")].model_validate(values)
