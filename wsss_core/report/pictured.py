"""What a gallery draws from: the images and, by experiment, the files of class maps and label maps."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.config.stages import STAGES
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import SPLITS, DatasetIndex, read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.label_values import label_type
from wsss_core.files.cam_store import CamStoreReader, ImageCams
from wsss_core.report.score_table import threshold_in_words

CAMS = "cams"
"""The stage whose maps are class maps, not label maps."""
LABEL_STAGES = tuple(name for name, stage in STAGES.items() if stage.picture and name != CAMS)
"""The stages that make label maps. The last one that has an image is the experiment's result for it."""


@dataclass(frozen=True)
class Pictured:
    """The files that pictures are drawn from."""

    index_csv: str
    """The index of the data set."""
    classes_json: str
    """The names of its classes."""
    masks_csv: str | None
    """The manifest of the masks, if there are any."""
    maps: Mapping[str, Mapping[str, Sequence[str]]]
    """The shards or manifests, by experiment and stage (``cams`` and ``LABEL_STAGES``), as far as it has the stage."""
    seed_thresholds: Mapping[str, Mapping[str, Any]]
    """By experiment with class maps, the seed's threshold, described as in ``threshold_in_words``."""
    shown: int
    """Most images of a split that are shown."""


Labels = Path | tuple[CamStoreReader, str, float]
"""The source of a label map: a file; or class maps, an image's id in them and the seed's threshold."""


class OpenPictures:
    """Opened class maps, and read manifests."""

    def __init__(self, pictured: Pictured, opened: ExitStack) -> None:
        """Read the manifests and open the class maps, which are closed with ``opened``.

        Raises:
            UserError: a file is missing or damaged.
        """
        self.index: DatasetIndex = read_index(pictured.index_csv, pictured.classes_json)
        """All images."""
        self.masks: dict[str, Path] = read_label_manifest([pictured.masks_csv]) if pictured.masks_csv else {}
        """Masks by image id."""
        self.experiments: list[str] = list(pictured.maps)
        """The experiments' names."""
        self._thresholds = {name: threshold_in_words(said)[0] for name, said in pictured.seed_thresholds.items()}
        readers: dict[tuple[str, ...], tuple[CamStoreReader, frozenset[str]]] = {}
        manifests: dict[tuple[str, ...], dict[str, Path]] = {}
        self._cams: dict[str, tuple[CamStoreReader, frozenset[str]]] = {}
        self._labels: dict[tuple[str, str], dict[str, Path]] = {}
        for name, stages in pictured.maps.items():
            for stage, files in stages.items():
                key = tuple(files)
                if stage == CAMS:
                    if key not in readers:
                        reader = opened.enter_context(CamStoreReader(list(key)))
                        reader.check_classes(self.index.classes)
                        readers[key] = reader, frozenset(reader.image_ids)
                    self._cams[name] = readers[key]
                else:
                    if key not in manifests:
                        manifests[key] = read_label_manifest(key)
                    self._labels[name, stage] = manifests[key]

    def splits(self) -> list[DatasetIndex]:
        """The images of each split that has some."""
        return [part for part in (self.index.split(name) for name in SPLITS) if len(part)]

    def cams(self, experiment: str, image_id: str) -> CamStoreReader | None:
        """The class maps of an experiment, if they have this image."""
        reader, image_ids = self._cams.get(experiment, (None, frozenset()))
        return reader if image_id in image_ids else None

    def label_maps(self, experiment: str, image_id: str) -> dict[str, Path]:
        """An experiment's label maps of an image, by stage."""
        found = {stage: self._labels.get((experiment, stage), {}).get(image_id) for stage in LABEL_STAGES}
        return {stage: path for stage, path in found.items() if path is not None}

    def last_labels(self, experiment: str, image_id: str) -> Labels | None:
        """An experiment's result for an image: the label map of its last stage or, if it has none, the seed."""
        label_maps = self.label_maps(experiment, image_id)
        return next(reversed(label_maps.values())) if label_maps else self.seed(experiment, image_id)

    def seed(self, experiment: str, image_id: str) -> Labels | None:
        """The seed of an image, if the experiment has its class maps."""
        reader = self.cams(experiment, image_id)
        return None if reader is None else (reader, image_id, self._thresholds[experiment])

    def read_labels(self, labels: Labels) -> np.ndarray:
        """A label map (H, W), uint8 or uint16."""
        if isinstance(labels, Path):
            return read_mask(labels)
        reader, image_id, threshold = labels
        return seed_labels(reader.read(image_id), threshold, len(self.index.classes))


def seed_labels(cams: ImageCams, threshold: float, classes: int) -> np.ndarray:
    """The seed: each pixel has the class of its largest map's value, or is background if that is not above a threshold.

    Args:
        cams: the image's class maps.
        threshold: the seed's.
        classes: number of classes in the data set, which decides the dtype.

    Returns:
        (H, W) uint8 or uint16.
    """
    kind = label_type(classes)
    if len(cams.classes) == 0:
        return np.zeros((cams.height, cams.width), kind)
    maps = cams.full_size()  # (K, H, W)
    found = cams.classes.astype(kind)[maps.argmax(axis=0)] + kind(1)
    return np.where(maps.max(axis=0) > np.float32(threshold), found, kind(0))
