"""What a gallery draws from: the images and, by experiment, the files of class maps and label maps."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wsss_core.cam_store import CamStoreReader
from wsss_core.datasets.index import SPLITS, DatasetIndex, read_index
from wsss_core.datasets.label_maps import read_label_manifest

CAMS = "cams"
"""The stage whose maps are no label maps."""
LABEL_STAGES = ("refined_seeds", "pseudo_labels", "predictions")
"""The stages that make label maps, the last one that an image has being the experiment's word on it."""


@dataclass(frozen=True)
class Pictured:
    """Where the pictures lie."""

    index_csv: str
    """The index of the data set."""
    classes_json: str
    """The names of its classes."""
    masks_csv: str | None
    """The manifest of the masks, if there are any."""
    maps: Mapping[str, Mapping[str, Sequence[str]]]
    """By experiment and stage (``cams`` and ``LABEL_STAGES``) the shards or manifests; stages it lacks are missing."""
    shown: int = 80
    """Images of a split that are shown, at most."""


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
        """By stage, the label maps that an experiment has of an image."""
        found = {stage: self._labels.get((experiment, stage), {}).get(image_id) for stage in LABEL_STAGES}
        return {stage: path for stage, path in found.items() if path is not None}

    def last_label_map(self, experiment: str, image_id: str) -> Path | None:
        """The label map of the last stage that an experiment has of an image."""
        return next(reversed(self.label_maps(experiment, image_id).values()), None)
