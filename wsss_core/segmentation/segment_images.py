"""Labels new images with a trained segmenter, one after the other; a failure of one does not stop the others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.datasets.overlay import write_overlay
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.shrinking import fingerprint
from wsss_core.errors import UserError
from wsss_core.files.probability_store import write_probabilities
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.progress import Progress
from wsss_core.jobs.read_ahead import ReadAhead
from wsss_core.jobs.run import Run
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.segmentation.any_size import labels_of_size, probabilities_of_views, seen_size, shrunken
from wsss_core.segmentation.class_probabilities import prediction_network
from wsss_core.segmentation.prediction_labels import refined_probabilities
from wsss_core.segmentation.segmented_folder import LABELS, OVERLAYS, PROBABILITIES, Done, SegmentedFolder

NO_MEMORY = ("can't allocate memory", "out of memory")
"""Parts of torch's messages about too little memory."""


@dataclass(frozen=True)
class Wanted:
    """What to write for each image in addition to its label map, and how to compute it."""

    prediction: Prediction
    """Scales, flip, arithmetic, CRF; ``keep_probabilities`` writes the probabilities, at the size that the network
    sees."""
    long_side: int | None = None
    """See :func:`wsss_core.segmentation.any_size.seen_size`."""
    overlays: bool = True
    """Draw the labels in colours over the image."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The folders of the files to write."""
        further = {OVERLAYS: self.overlays, PROBABILITIES: self.prediction.keep_probabilities}
        return (LABELS, *(kind for kind, wanted in further.items() if wanted))

    @property
    def settings(self) -> dict[str, object]:
        """The settings that label maps depend on, as JSON values."""
        of_prediction = self.prediction.model_dump(mode="json", exclude={"keep_probabilities"})
        return {"prediction": of_prediction, "long_side": self.long_side}


@dataclass
class Outcome:
    """The result of a run."""

    made: int = 0
    """Images that this run has labelled."""
    earlier: int = 0
    """Images that an earlier run has labelled."""
    shrunken: int = 0
    """How many of the images of this run were shrunk for the network."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with images that could not be labelled."""


@dataclass(frozen=True)
class _Scored:
    """An image and the network's result."""

    fingerprint: str
    """The file's state before it was read."""
    pixels: np.ndarray
    """(H, W, 3) uint8 RGB."""
    seen: np.ndarray
    """(h, w, 3) uint8 RGB: the image that the network saw."""
    probabilities: np.ndarray
    """(K + 1, h, w) float32, before the CRF."""


def segment_images(
    weights: Path, files: Mapping[str, Path], out: Path, wanted: Wanted, device: str = "auto", threads: int = 1
) -> Outcome:
    """Write labels of images; a killed run only loses the images in progress.

    This writes to ``out``: ``labels/<name>.png``, ``overlays/<name>.jpg`` and ``probabilities/<name>.h5`` (both if
    wanted), ``classes.csv`` (the values of the classes), ``segmented.csv`` (a row for each image) and
    ``settings.json``.

    Args:
        weights: the segmenter's file, which needs no other file.
        files: image files by name.
        out: the folder; it only holds labels of this network with these settings.
        wanted: what to write.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: processes for the CRF; with 1, it takes turns with the network, which needs the least memory.

    Raises:
        UserError: the weights are not a segmenter's, ``out`` holds other labels, or a file cannot be written.
    """
    prediction = wanted.prediction
    chosen = device_for(Run(device=device), prediction.arithmetic)
    # The original network is dropped at once: only the copy stays in memory.
    network = prediction_network(load_segmenter(weights, chosen), prediction)
    folder = SegmentedFolder(out, weights, network.classes, wanted.settings)
    left = [name for name, file in files.items() if not folder.has(name, fingerprint(file.absolute()), wanted.kinds)]
    outcome = Outcome(earlier=len(files) - len(left))
    held: dict[int, _Scored] = {}  # by place in the order, from the network until the files exist

    def to_refine(number: int) -> tuple[np.ndarray, np.ndarray]:
        before, pixels = read(number)
        seen = shrunken(pixels, seen_size(_size(pixels), network, prediction, wanted.long_side))
        held[number] = _Scored(before, pixels, seen, probabilities_of_views(network, seen, prediction))
        return held[number].seen, held[number].probabilities

    refine = partial(refined_probabilities, crf=prediction.crf)
    counter = Progress("segmenting", len(files), done=outcome.earlier)
    with (
        ReadAhead(_read, [files[name] for name in left], threads=1, ahead=1) as read,
        ImagePool(refine, to_refine, left, 1 if prediction.crf is None else threads) as pool,
    ):
        for number, name in enumerate(left):
            try:
                refined = pool(number)
            except (UserError, MemoryError, RuntimeError) as error:
                outcome.faults.append(_fault(files[name], error))
            else:
                outcome.shrunken += _write(folder, name, files[name], held[number], refined, wanted.kinds)
                outcome.made += 1
                del refined
            held.pop(number, None)
            counter.advance()
    counter.close()
    folder.finish()
    return outcome


def _read(path: Path) -> tuple[str, np.ndarray]:
    """A file's state before it was read, and its image."""
    return fingerprint(path.absolute()), read_image(path)


def _write(
    folder: SegmentedFolder, name: str, file: Path, image: _Scored, refined: np.ndarray, kinds: Collection[str]
) -> bool:
    """Write an image's files, then its row; returns whether it was shrunk for the network."""
    size, seen = _size(image.pixels), _size(image.seen)
    labels = labels_of_size(refined, size)
    if PROBABILITIES in kinds:
        write_probabilities(folder.path(PROBABILITIES, name), folder.classes, [(name, image.probabilities)])
    if OVERLAYS in kinds:
        write_overlay(folder.path(OVERLAYS, name), image.pixels, labels)
    write_label_map(folder.path(LABELS, name), labels)
    classes = ";".join(folder.classes[value] for value in np.unique(labels))
    folder.add(Done(name, str(file), *size, *seen, classes, image.fingerprint))
    return seen != size


def _fault(file: Path, error: Exception) -> str:
    """What is wrong with an image, in words.

    Raises:
        Exception: ``error``, if it is a fault of the program.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return f"{file}: there is too little memory for it; a smaller --long-side needs less"
    raise error


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
