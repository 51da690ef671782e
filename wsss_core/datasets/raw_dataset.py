"""A data set as it is on disk, whatever its layout."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.config.dataset import Dataset
from wsss_core.datasets.faults import Fault
from wsss_core.datasets.index import SPLITS, DatasetIndex

MaskSource = Path | partial[np.ndarray]
"""Where an image's mask comes from: a PNG file that ``read_mask`` can read, or a call of a module-level function that
draws it, uint8 (H, W), and can be pickled."""


@dataclass(frozen=True)
class ListedImage:
    """One image of a data set, as the data set's own files describe it; not decoded yet."""

    image_id: str
    """The image's id: unique, usable as a file name and an HDF5 group name, with ``/`` if it is in a subfolder."""
    split: str
    """``train``, ``val`` or ``test``."""
    image: Path
    """The image file. It may be missing; the check reports that."""
    labels: frozenset[str]
    """Names of the classes in the image; empty if it shows none, and for test images."""
    described_in: str
    """The file (and line, if it describes many images) that gives the labels, for messages."""
    size: tuple[int, int] | None = None
    """Height and width according to the data set's files, if they say it."""
    listed: bool = True
    """Whether the data set's files say what the image shows; if not, it may still show classes."""


@dataclass
class Listing:
    """What the files that describe a data set say."""

    classes: tuple[str, ...]
    """Names of the K object classes without the background, in the order of their mask values."""
    images: list[ListedImage] = field(default_factory=list)
    """The images in the order of the index: by split, each once. Images with an ambiguous id or without a readable
    label are among the faults instead."""
    faults: list[Fault] = field(default_factory=list)
    """Everything that is wrong."""
    warnings: list[Fault] = field(default_factory=list)
    """Oddities that do not prevent the work."""


class RawDataset(ABC):
    """A data set's folder. Each format is a subclass; ``formats.raw_dataset`` finds it by the type of the settings."""

    masks_are_quick = True
    """Whether checking all masks is fast, so that their faults can be reported with those of the images."""

    def __init__(self, root: Path, settings: Dataset) -> None:
        """Read nothing yet.

        Args:
            root: the folder; image paths begin with it as given here.
            settings: the block ``dataset`` of the configuration.
        """
        self.root, self.settings = root, settings

    @abstractmethod
    def inputs(self, splits: Sequence[str] = SPLITS) -> list[Path]:
        """The folders and files (existing or not) of images, labels and splits, but not those of masks."""

    def names_digest(self) -> str:
        """A digest of the file names that list the images, if their folder is not among ``inputs``.

        The file names of masks may say which images to train on. The masks themselves must not be an input of the
        index, because every training depends on it.
        """
        return ""

    @abstractmethod
    def mask_inputs(self) -> list[Path]:
        """The folders and files (existing or not) of masks."""

    @abstractmethod
    def list_images(self, splits: Sequence[str] = SPLITS) -> Listing:
        """Read the description of the images, without decoding any.

        Args:
            splits: the splits to list, in this order. For ``test`` images only the list is read, not the labels.
        """

    @abstractmethod
    def masks(self, index: DatasetIndex) -> Iterator[tuple[str, MaskSource]]:
        """The existing masks of the index's images: image id and source of the mask, in any order.

        Raises:
            UserError: the description of the masks cannot be read.
        """

    @staticmethod
    def lost_pixels(source: MaskSource, mask: np.ndarray, classes: int) -> np.ndarray | None:
        """How many ignored pixels of a mask are known to be of each class.

        Args:
            source: what the mask was made from.
            mask: (H, W), as it is scored, perhaps shrunk.
            classes: K.

        Returns:
            int64 (K,), in class order; None if the data set's files do not say.
        """
        del source, mask, classes
        return None

    def on_ignored_classes(self) -> str:
        """Why most pixels of a class may be ignored and what to do, for the end of a message; may be empty."""
        return ""

    def expected_mask(self, image_id: str) -> Path:
        """The file to look at if an image's mask is missing or wrong, for messages."""
        return next(iter(self.mask_inputs()), self.root)

    def scored_list(self) -> Path | None:
        """The list of the training images to score; None for all."""
        scored = self.settings.scored_list
        return None if scored is None else Path(scored)

    def unfit_settings(self) -> list[str]:
        """Settings that do not fit the files on disk and would otherwise be noticed late: a line each, with the key."""
        return []

    def has_masks(self) -> bool:
        """Whether there is a file or folder that masks come from."""
        return any(path.exists() for path in self.mask_inputs())
