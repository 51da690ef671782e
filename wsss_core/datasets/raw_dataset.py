"""A data set as it lies on the disk, whatever its layout."""

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
"""Where an image's mask comes from: a PNG file that can be read as it is (``read_mask``), or a call of a module's
function that draws it, uint8 (H, W), and can be sent to another process."""


@dataclass(frozen=True)
class ListedImage:
    """One image of a data set, as the data set's own files describe it; nobody has decoded it yet."""

    image_id: str
    """The image's id: unique, a name that can be a file's and an HDF5 group's, ``/`` where it is in a subfolder."""
    split: str
    """``train``, ``val`` or ``test``."""
    image: Path
    """The image file; it may be missing, which the check tells."""
    labels: frozenset[str]
    """Names of the classes in the image; empty if it shows none, and for test images."""
    described_in: str
    """The file (and line, if it has many images) that gives the labels, for messages."""
    size: tuple[int, int] | None = None
    """Height and width that the data set's files give, if they do."""
    listed: bool = True
    """Whether the data set's files say what the image shows; if not, that it has no class means nothing."""


@dataclass
class Listing:
    """What the files that describe a data set say."""

    classes: tuple[str, ...]
    """Names of the K object classes without the background, in the order of their mask values."""
    images: list[ListedImage] = field(default_factory=list)
    """The images in the order of the index: by split, each once. Those that cannot be told apart or labelled are
    among the faults instead."""
    faults: list[Fault] = field(default_factory=list)
    """What is wrong, all of it."""
    warnings: list[Fault] = field(default_factory=list)
    """What is odd, but can be worked with."""


class RawDataset(ABC):
    """A data set's folder. A format is a subclass; ``formats.raw_dataset`` finds it by name."""

    masks_are_quick = True
    """Whether all masks can be looked at in passing, where faults of the images stop the check anyway."""

    def __init__(self, root: Path, settings: Dataset) -> None:
        """Look at nothing yet.

        Args:
            root: the folder; image paths begin with it as given here.
            settings: the block ``dataset`` of the configuration.
        """
        self.root, self.settings = root, settings

    @abstractmethod
    def inputs(self, splits: Sequence[str] = SPLITS) -> list[Path]:
        """The folders and files that images, labels and splits come from, there or not; masks are none of them."""

    def names_digest(self) -> str:
        """A digest of the file names that images are listed by, where their folder is none of ``inputs``.

        The names of masks may say which images to train on. The masks themselves must not be an input of the index,
        which every training starts from.
        """
        return ""

    @abstractmethod
    def mask_inputs(self) -> list[Path]:
        """The folders and files that masks come from, there or not."""

    @abstractmethod
    def list_images(self, splits: Sequence[str] = SPLITS) -> Listing:
        """Read what describes the images, without decoding one.

        Args:
            splits: those to list, in this order. Of ``test`` images only the list is read, not the labels.
        """

    @abstractmethod
    def masks(self, index: DatasetIndex) -> Iterator[tuple[str, MaskSource]]:
        """The masks there are of the index's images: image id and where the mask comes from, in any order.

        Raises:
            UserError: what describes the masks cannot be read.
        """

    @staticmethod
    def lost_pixels(source: MaskSource, mask: np.ndarray, classes: int) -> np.ndarray | None:
        """How many pixels of a mask that do not count are known to be of each class.

        Args:
            source: what the mask was made from.
            mask: (H, W), as it is scored, perhaps shrunk.
            classes: K.

        Returns:
            int64 (K,), in class order; None if the data set's files do not say it.
        """
        del source, mask, classes
        return None

    def on_ignored_classes(self) -> str:
        """Why most pixels of a class may not count and what to do, to be added to a message; may be empty."""
        return ""

    def expected_mask(self, image_id: str) -> Path:
        """The file to look at where an image has no mask, or one that is not right; for messages."""
        return next(iter(self.mask_inputs()), self.root)

    def scored_list(self) -> Path | None:
        """The file that lists the training images that are scored; None: all are."""
        scored = self.settings.scored_list
        return None if scored is None else Path(scored)

    def unfit_settings(self) -> list[str]:
        """What in the settings does not fit the disk and would be noticed late, a line each, with the key."""
        return []

    def has_masks(self) -> bool:
        """Whether there is a file or folder that masks come from."""
        return any(path.exists() for path in self.mask_inputs())
