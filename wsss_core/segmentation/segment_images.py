"""Labels of new images by a trained segmenter: one after the other, whatever happens to single ones."""

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
"""What torch says when there is too little."""


@dataclass(frozen=True)
class Wanted:
    """What is to be made of each image, beside its label map."""

    prediction: Prediction
    """Scales, flip, arithmetic, CRF; ``keep_probabilities`` for the probabilities, at the size that the network
    sees."""
    long_side: int | None = None
    """See :func:`wsss_core.segmentation.any_size.seen_size`."""
    overlays: bool = True
    """Draw the labels in colours over the image."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The folders of the files to make."""
        further = {OVERLAYS: self.overlays, PROBABILITIES: self.prediction.keep_probabilities}
        return (LABELS, *(kind for kind, wanted in further.items() if wanted))

    @property
    def settings(self) -> dict[str, object]:
        """What the label maps depend on, as JSON values."""
        of_prediction = self.prediction.model_dump(mode="json", exclude={"keep_probabilities"})
        return {"prediction": of_prediction, "long_side": self.long_side}


@dataclass
class Outcome:
    """What came out."""

    made: int = 0
    """Images that this run has done."""
    earlier: int = 0
    """Images that an earlier run had done."""
    shrunken: int = 0
    """Of those that this run has done, the network saw so many smaller than they are."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with images that could not be done."""


@dataclass(frozen=True)
class _Scored:
    """An image and what the network made of it."""

    fingerprint: str
    """Of the file, before it was read."""
    pixels: np.ndarray
    """(H, W, 3) uint8 RGB."""
    seen: np.ndarray
    """(h, w, 3) uint8 RGB: the same as the network saw it."""
    probabilities: np.ndarray
    """(K + 1, h, w) float32, before the CRF."""


def segment_images(
    weights: Path, files: Mapping[str, Path], out: Path, wanted: Wanted, device: str = "auto", threads: int = 1
) -> Outcome:
    """Write labels of images; a killed run loses the images in flight.

    In ``out`` there are then ``labels/<name>.png``, ``overlays/<name>.jpg`` and ``probabilities/<name>.h5`` (these two
    if they are wanted), ``classes.csv`` (which value is which class), ``segmented.csv`` (a row an image) and
    ``settings.json``.

    Args:
        weights: the segmenter's file, which needs nothing else.
        files: image files by name.
        out: the folder; it holds labels of this network with these settings only.
        wanted: what is made.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: processes for the CRF; with 1 it takes turns with the network, and memory is least.

    Raises:
        UserError: the weights are not a segmenter's, ``out`` holds other labels, or a file cannot be written.
    """
    prediction = wanted.prediction
    chosen = device_for(Run(device=device), prediction.arithmetic)
    # The network as it was read goes at once: in memory there is only the copy for use.
    network = prediction_network(load_segmenter(weights, chosen), prediction)
    folder = SegmentedFolder(out, weights, network.classes, wanted.settings)
    left = [name for name, file in files.items() if not folder.has(name, fingerprint(file.absolute()), wanted.kinds)]
    outcome = Outcome(earlier=len(files) - len(left))
    held: dict[int, _Scored] = {}  # by place in the order, from the network until the files are there

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
    """What a file was like before it was read, and its image."""
    return fingerprint(path.absolute()), read_image(path)


def _write(
    folder: SegmentedFolder, name: str, file: Path, image: _Scored, refined: np.ndarray, kinds: Collection[str]
) -> bool:
    """Write an image's files, then its row; whether the network saw it smaller than it is."""
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
    """What is wrong with an image.

    Raises:
        Exception: ``error`` itself, if it is a fault of the program.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return f"{file}: there is too little memory for it; a smaller --long-side needs less"
    raise error


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
