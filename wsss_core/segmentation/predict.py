"""Stage `predictions`: makes label maps of images with a trained segmenter.

Reading, network, CRF and writing work on different images at the same time, a few images apart:

- threads read, decode, rescale and normalise the next images (``scored_images``);
- this thread runs the network on one batch after the other;
- processes refine the results with the CRF, if there is one and the rule has threads;
- threads find the largest probabilities if there is no CRF, and write PNG and HDF5.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_map_files
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.files.probability_store import has_probabilities, merge_probabilities, write_probabilities
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.read_ahead import ReadAhead
from wsss_core.jobs.run import Run
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.segmentation.class_probabilities import ScoredImage, batches_of, prediction_network, scored_images
from wsss_core.segmentation.prediction_labels import largest_labels, refined_labels

Item = TypeVar("Item")


def predict(
    parameters: Prediction,
    index: DatasetIndex,
    weights: Path,
    manifest_csv: Path,
    probabilities_h5: Path | None = None,
    run: Run = Run(),
) -> None:
    """Write the label map of every image of a shard, next to the manifest that lists them.

    Args:
        parameters: scales, flip, arithmetic, CRF.
        index: the shard's images.
        weights: the segmenter's weights.
        manifest_csv: the manifest to write; see ``write_label_maps``.
        probabilities_h5: the file to write of the probabilities before the CRF; None keeps none.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the weights are not a segmenter's, or are for other classes than the data set's; an image cannot be
            read or has another size than the index says; the process of its CRF died; or the GPU does not compute in
            bfloat16.
    """
    device = device_for(run, parameters.arithmetic)
    network = load_segmenter(weights, device)
    if network.classes[1:] != tuple(index.classes):
        raise UserError(
            f"{weights}: the segmenter knows the classes {', '.join(network.classes[1:])}; "
            f"the data set has {', '.join(index.classes)}"
        )
    shard = _Shard(parameters, index, prediction_network(network, parameters), run.threads)
    kept = None
    if probabilities_h5 is not None:
        kept = PartialWork(manifest_csv.parent.parent, f"probabilities-{probabilities_h5.stem}", run.inputs)
        shard.parts = {position: kept.path(f"{position}.h5") for position in range(len(index))}
    ids = index.image_ids
    earlier = {position for position, part in shard.parts.items() if part.exists()}
    write_label_map_files(index, shard.predict, manifest_csv, run.inputs, "predicting")
    if kept is None or probabilities_h5 is None or kept.restore(probabilities_h5):
        return
    # Label maps of an earlier run were restored, but some of its probabilities are missing or damaged.
    missing = [
        position
        for position, part in shard.parts.items()
        if not part.exists() or (position in earlier and not has_probabilities(part, ids[position]))
    ]
    for _ in shard.predict(dict.fromkeys(missing)):
        pass
    merge_probabilities(probabilities_h5, network.classes, shard.parts.values())
    kept.finish(probabilities_h5)


class _Shard:
    """Takes the images of a shard through network and CRF to files."""

    def __init__(self, parameters: Prediction, index: DatasetIndex, network: SegmentationNetwork, threads: int) -> None:
        self._parameters, self._index, self._network, self._threads = parameters, index, network, threads
        self.parts: Mapping[int, Path] = {}
        """The files of each image's probabilities, if they are kept."""

    def predict(self, label_maps: Mapping[int, Path | None]) -> Generator[int]:
        """Write the files of images, and yield the position of each image when its files exist.

        Args:
            label_maps: the label maps to write, by position; None if only the image's probabilities are missing.
        """
        device = next(self._network.parameters()).device
        batches = batches_of(self._index, label_maps, self._parameters, device)
        order = [position for batch in batches for position in batch if position in label_maps]
        found = scored_images(self._network, self._index, batches, self._parameters, self._threads)
        images = (image for image in found if image.position in label_maps)
        held: dict[int, ScoredImage] = {}  # by place in the order, from the network until the files exist
        failures: list[BaseException] = []

        def scored(number: int) -> ScoredImage:
            if number not in held:
                if failures:  # the refinement, which works ahead, has met it
                    raise failures[0]
                try:
                    held[number] = next(images)
                except BaseException as error:
                    failures.append(error)
                    raise
            return held[number]

        def to_refine(number: int) -> tuple[np.ndarray, np.ndarray]:
            return scored(number).image, scored(number).probabilities

        def labelled(number: int) -> tuple[ScoredImage, np.ndarray | None]:
            refined = self._parameters.crf is not None and label_maps[order[number]] is not None
            return scored(number), pool(number) if refined else None

        def write(image: tuple[ScoredImage, np.ndarray | None]) -> int:
            self._write(*image, label_maps[image[0].position])
            return image[0].position

        ids = [self._index.image_ids[position] for position in order]
        pool = ImagePool(partial(refined_labels, crf=self._parameters.crf), to_refine, ids, self._threads)
        with (
            closing(found),
            pool,
            ReadAhead(write, _Lazy(labelled, len(order)), self._threads, self._threads + 1) as written,
        ):
            for number, position in enumerate(written):
                del held[number]
                yield position

    def _write(self, scored: ScoredImage, labels: np.ndarray | None, label_map: Path | None) -> None:
        """Write the probabilities and the label map of an image, each if wanted."""
        if self.parts:
            image = self._index.image_ids[scored.position], scored.probabilities
            write_probabilities(self.parts[scored.position], self._network.classes, [image])
        if label_map is not None:
            write_label_map(label_map, largest_labels(scored.probabilities) if labels is None else labels)


class _Lazy(Sequence[Item]):
    """Items that are made on request."""

    def __init__(self, make: Callable[[int], Item], length: int) -> None:
        self._make, self._length = make, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Item:  # type: ignore[override]
        return self._make(number)
