"""The data set formats that ``dataset.format`` can name."""

from pathlib import Path

from wsss_core.config.dataset import CocoDataset, Dataset, FolderDataset, VocDataset
from wsss_core.datasets.coco.coco import CocoFolder
from wsss_core.datasets.folder.folder import ImageFolder
from wsss_core.datasets.raw_dataset import RawDataset
from wsss_core.datasets.voc.voc import VocFolder

FORMATS: dict[type[Dataset], type[RawDataset]] = {
    VocDataset: VocFolder,
    CocoDataset: CocoFolder,
    FolderDataset: ImageFolder,
}
"""The reader for each class of settings."""


def raw_dataset(root: Path | str, settings: Dataset) -> RawDataset:
    """The data set in the folder ``root``, read according to its settings."""
    return FORMATS[type(settings)](Path(root), settings)
