"""What the data set is and where its images are; a class of settings for each layout on disk."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from wsss_core.config.class_names import COCO_CLASSES, CREATURE_CLASSES, VOC_CLASSES, check_class_names
from wsss_core.config.numbers import Seed
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import File, Folder
from wsss_core.config.wording import NAME


class Creatures(Parameters):
    """The generated data set: small generated pictures of creatures (docs/creatures.md)."""

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
    """Which image lists (``ImageSets/Segmentation/<name>.txt``) are used for what."""

    train: str = "train"
    """List of the images that networks are trained on and CAMs are drawn for."""
    val: str = "val"
    """List of the images that the segmentation network is scored on."""
    test: str | None = None
    """List of images that come without labels and masks. ``snakemake voc_submission`` makes their label maps for the
    VOC server to score; nothing else uses these images."""


class CocoSplits(Parameters):
    """Which of MS-COCO's image folders are used for what."""

    train: str = "train2014"
    """Folder of the images that networks are trained on; ``annotations/instances_<name>.json`` describes them."""
    val: str = "val2014"
    """Folder of the images that the segmentation network is scored on, with its own ``instances_<name>.json``."""


class Dataset(Parameters):
    """A data set on disk: the settings that all layouts share."""

    name: str = Field("creatures", pattern=NAME)
    """Name of the folder in ``results/`` for everything that is made from this data set."""
    format: str = "voc"
    """Layout of the folder."""
    root: Folder | None = None
    """Folder that holds the data set."""
    on_fault: Literal["stop", "skip"] = "stop"
    """What happens to images with a fault (missing, unreadable, of an unknown class, ...). ``stop``: all faults are
    reported, and nothing is made. ``skip``: these images are left out, and listed in ``skipped.csv``."""
    negatives: Literal["none", "listed", "all"] = "none"
    """Images without any class that networks are trained on, as examples that show none of the classes: ``none`` of
    them; ``listed``, those that the data set lists as showing none; or ``all``, including those that it does not
    list."""
    long_side: int | None = Field(None, ge=64, le=100_000)
    """Images whose longer side has more pixels than this are shrunk to it once, and their masks too, unless a mask has
    the copy's size already. The copies are kept in the results. All stages use the copies: label maps have their size,
    and are scored at it. Default: images are used as they are."""
    saliency: Folder | None = None
    """Folder of saliency maps, one per training image: ``<image id>.png``, 8-bit grey, of the image's size, from 0
    (background) to 255 (salient). Only pseudo labels with ``background: {saliency: ...}`` use them."""
    score_on: File | None = None
    """Training images that class maps, refined seeds and pseudo labels are scored on: a text file with one id per line,
    or, with VOC's layout, the name of an image list. Default: all; if VOC trains on ``train_aug``, only its ``train``,
    as published figures do (``score_on: train_aug`` scores all)."""

    @property
    def scored_list(self) -> str | None:
        """The list of the training images that are scored, a name or a file; None: all."""
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
        """Names of the object classes without the background; None if only the data set's own files have them."""
        return None

    @property
    def test_list(self) -> str | None:
        """The list of images without labels, if there is one."""
        return None

    @property
    def for_masks(self) -> tuple[str, ...]:
        """Settings that only masks depend on: changing them makes the masks again, but no index and no network."""
        return ()


class VocDataset(Dataset):
    """A data set in the PASCAL VOC devkit's layout, or one that is first generated in it."""

    alternatives: ClassVar[tuple[str, ...]] = ("root", "generate")

    format: Literal["voc"] = "voc"
    """Layout of the folder: ``voc`` is the PASCAL VOC devkit's (JPEGImages, Annotations, ...)."""
    generate: Creatures | None = None
    """Generate the data set of creatures instead of reading one from ``root``."""
    classes: tuple[str, ...] = Field(VOC_CLASSES, min_length=1)
    """Names of the object classes without the background; class i has the mask value i + 1. With ``generate`` the
    default is the classes of the creatures."""
    splits: Splits = Splits()
    """Image lists for training, validation and the VOC server's test."""
    difficult: bool = True
    """Whether objects that annotations mark as ``difficult`` count; the authors of the methods count them. With
    ``false``, training images that show nothing else have no class, see ``negatives``."""
    negatives: Literal["none", "listed"] = "none"
    """Training images without any class: ``none`` leaves them out, as the authors do; ``listed`` trains networks on
    them, as examples that show none of the classes."""
    sbd: Folder | None = None
    """The Semantic Boundaries Dataset, whose masks are added to VOC's own: the folder that its archive unpacks to (with
    ``dataset/cls/<id>.mat``), or a folder of PNG masks, ``<id>.png``, known as SegmentationClassAug. With it,
    ``splits.train: train_aug`` needs no file: the list is computed from SBD's lists and VOC's ``train``, without
    VOC's ``val``."""

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
        """The name of the list of the training images that are scored; None: all."""
        of_papers = "train" if self.splits.train == "train_aug" else None
        scored = self.score_on or of_papers
        return None if scored == self.splits.train else scored

    @property
    def test_list(self) -> str | None:
        """The list of images without labels, if there is one."""
        return self.splits.test

    @property
    def for_masks(self) -> tuple[str, ...]:
        """Settings that only masks depend on: SBD is one, unless the list of training images comes from it."""
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
                "full size; leave one of them out"
            )
        if self.generate is not None and self.score_on is not None:
            raise ValueError("a generated data set is scored on all training images; leave 'score_on' out")
        if self.generate is not None and self.sbd is not None:
            raise ValueError("a generated data set has all its masks; leave 'sbd' out")
        check_class_names(self.classes)
        return self


class CocoDataset(Dataset):
    """A data set that is described by files like MS-COCO's ``instances_*.json``."""

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
    """How masks show regions with ``iscrowd: 1``: ``ignored`` as in MS-COCO, where they are groups that nobody
    separated; or ``objects`` like all others. CVAT's export marks every mask drawn with a brush as a crowd."""
    score_val: Literal["all", "with_objects"] = "all"
    """Validation images that predictions are scored on: ``all``, where images without any object are background
    (MS-COCO 2014: 40,504); or only those ``with_objects``, as in many papers (40,137). Nothing else depends on it."""
    stuff_masks: Folder | None = None
    """Folder of COCO-Stuff's pixel maps (``<image id>.png``, also in folders by split, or as unpacked from
    ``stuffthingmaps_trainval2017.zip``): masks come from these instead of the objects' outlines."""

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
        """Settings that only masks depend on."""
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
    by default those in the table of labels, in the order of its columns, or sorted."""
    val_share: float = Field(0.2, ge=1e-4, le=0.9999)
    """Share of the labelled images that become the validation split if there is no ``splits.csv``. Each image's split
    depends only on its own id, so it stays the same when others are added."""
    negatives: Literal["none", "listed", "all"] = "listed"
    """Training images without any class. ``listed`` trains networks on those that have a row in the table but no label,
    as examples that show none of the classes; it leaves out those without a row, whose content is unknown. ``all``
    trains on both, so that a table need not list images that show nothing. ``none`` leaves both out."""
    split_seed: Seed = 0
    """Another seed draws another validation split."""

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


def dataset_settings(values: dict[str, Any]) -> Dataset:
    """The settings of a data set from plain values, by their ``format`` (``voc`` if there is none).

    Raises:
        KeyError: there is no such format.
        pydantic.ValidationError: the values are not right.
    """
    return DATASET_FORMATS[values.get("format", "voc")].model_validate(values)
