"""One picture of a few images with their masks, class maps and pseudo labels."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.overlay import labels_over
from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import CamStoreReader

matplotlib.use("Agg")
from matplotlib import pyplot

IMAGES = 5
CELL_INCHES = 1.35


def draw_overview(
    index: DatasetIndex,
    masks: Mapping[str, Path],
    experiments: Mapping[str, Mapping[str, Sequence[str]]],
    picture: Path,
    images: int = IMAGES,
) -> None:
    """Draw a row per image: image, mask, and each experiment's class maps and pseudo labels.

    Args:
        index: the training images; for each class the first one that shows only it is drawn.
        masks: masks by image id; may be empty.
        experiments: by name, the CAM shards (``cams``) and the manifests of ``pseudo_labels``, as far as it has them.
        picture: the PNG file.
        images: most rows.
    """
    positions = _one_of_each_class(index)[:images]
    with ExitStack() as opened:
        columns = _columns(masks, experiments, opened)
        figure, axes = pyplot.subplots(
            len(positions),
            len(columns),
            figsize=(CELL_INCHES * len(columns), CELL_INCHES * len(positions) + 0.3),
            squeeze=False,
        )
        for row, position in zip(axes, positions, strict=True):
            image = read_image(index.image_paths[position])
            for axis, (_, draw) in zip(row, columns, strict=True):
                axis.imshow(draw(index.image_ids[position], image))
                axis.set_axis_off()
    for axis, (title, _) in zip(axes[0], columns, strict=True):
        axis.set_title(title, fontsize=8)
    figure.tight_layout(pad=0.4)
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _one_of_each_class(index: DatasetIndex) -> list[int]:
    """For each class, the position of the first of the images that show it with the fewest other classes."""
    labels = index.label_matrix
    order = np.argsort(labels.sum(axis=1), kind="stable")
    firsts = [order[labels[order, k]][:1] for k in range(len(index.classes))]
    return list(dict.fromkeys(int(position) for first in firsts for position in first))


def _columns(
    masks: Mapping[str, Path], experiments: Mapping[str, Mapping[str, Sequence[str]]], opened: ExitStack
) -> list[tuple[str, Any]]:
    """Titles, and functions from an image's id and pixels (H, W, 3) to the picture of a cell.

    The files of class maps are closed with ``opened``.
    """
    columns: list[tuple[str, Any]] = [("image", lambda image_id, image: image)]
    if masks:
        columns.append(("mask (scoring only)", lambda image_id, image: _labels(image, masks.get(image_id))))
    for name, files in experiments.items():
        if "cams" not in files:  # trained on masks
            continue
        cams = opened.enter_context(CamStoreReader([Path(path) for path in files["cams"]]))
        columns.append((f"{name}: class maps", lambda image_id, image, cams=cams: _heat(image, cams, image_id)))
        if "pseudo_labels" in files:
            labels = read_label_manifest(files["pseudo_labels"])
            columns.append(
                (f"{name}: pseudo label", lambda image_id, image, labels=labels: _labels(image, labels.get(image_id)))
            )
    return columns


def _heat(image: np.ndarray, cams: CamStoreReader, image_id: str) -> np.ndarray:
    """The image (H, W, 3) under the maximum of its class maps, in [0, 1]."""
    strongest = cams.read(image_id).full_size().max(axis=0).clip(0, 1)  # (H, W)
    heat = matplotlib.colormaps["jet"](strongest)[..., :3]
    return 0.45 * image / 255 + 0.55 * heat


def _labels(image: np.ndarray, path: Path | None) -> np.ndarray:
    """The image (H, W, 3) under a label map's palette colours, in [0, 1]; grey without one."""
    if path is None:
        return np.full(image.shape, 0.8)
    return labels_over(image, read_mask(path))
