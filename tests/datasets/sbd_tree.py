"""Builds SBD in its own form, and as a folder of PNG masks, for tests."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


def write_sbd(folder: Path, lists: dict[str, Iterable[str]], masks: dict[str, np.ndarray]) -> Path:
    """SBD as its archive unpacks: returns ``folder``, which holds ``dataset``."""
    own = folder / "dataset"
    (own / "cls").mkdir(parents=True)
    for name, image_ids in lists.items():
        (own / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in image_ids), encoding="utf-8")
    for image_id, mask in masks.items():
        write_mat(own / "cls" / f"{image_id}.mat", mask)
    return folder


def write_mat(path: Path, mask: np.ndarray) -> None:
    """A mask with the fields that SBD's files have."""
    present = np.unique(mask[mask > 0]).astype(np.uint8)[:, None]
    boundaries = np.empty((20, 1), dtype=object)
    boundaries[:] = [[np.zeros((1, 1), dtype=np.uint8)]] * 20
    savemat(
        path,
        {"GTcls": {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": present}},
        do_compression=True,
    )


def write_png_masks(folder: Path, masks: dict[str, np.ndarray]) -> Path:
    """A folder of 8-bit grey PNG masks."""
    folder.mkdir()
    for image_id, mask in masks.items():
        Image.fromarray(mask).save(folder / f"{image_id}.png")
    return folder
