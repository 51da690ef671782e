"""The Semantic Boundaries Dataset (SBD, Hariharan et al., ICCV 2011): masks of 11,355 images of VOC 2012.

It comes in two forms: its authors' archive, unpacked (``dataset/cls/<id>.mat``, ``dataset/train.txt``,
``dataset/val.txt``), or a folder of PNG masks made from it, ``<id>.png``, known as SegmentationClassAug.
"""

import os
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.raw_dataset import MaskSource
from wsss_core.datasets.voc.voc_layout import read_ids, usable
from wsss_core.errors import UserError

MASKS = "cls"
LISTS = ("train.txt", "val.txt")


class Sbd:
    """A folder with SBD in one of its forms."""

    def __init__(self, path: Path) -> None:
        """Find out which form it has.

        Args:
            path: the folder that holds ``dataset``, the folder ``dataset``, or a folder of PNG masks.
        """
        self.path = path
        own = [folder for folder in (path, path / "dataset") if _has_own_form(folder)]
        self.own_folder = own[0] if own else None
        """The folder of masks and lists in SBD's own form; None if the folder has PNG masks."""

    @property
    def mask_folder(self) -> Path:
        """The folder of the masks."""
        return self.path if self.own_folder is None else self.own_folder / MASKS

    def list_files(self) -> list[Path]:
        """SBD's own lists; PNG masks come without one."""
        return [] if self.own_folder is None else [self.own_folder / name for name in LISTS]

    def layout_faults(self, with_lists: bool) -> list[Fault]:
        """Faults for what is missing in the folder.

        Args:
            with_lists: whether SBD's lists are needed.
        """
        forms = "'dataset.sbd' is SBD as it unpacks (dataset/cls/<id>.mat) or a folder of PNG masks (<id>.png)"
        if not self.path.is_dir():
            what = "is a file" if self.path.exists() else "does not exist"
            return [Fault(FaultKind.LAYOUT, str(self.path), f"{what}; {forms}")]
        if self.own_folder is None:
            if _png_names(self.path):
                return []
            patterns = ("*/dataset/cls", "*/*/dataset/cls", "*/*.png")
            deeper = next(chain.from_iterable(map(self.path.glob, patterns)), None)
            hint = f" ({deeper} exists: is 'sbd' one folder too high?)" if deeper else ""
            return [Fault(FaultKind.LAYOUT, str(self.path), f"holds no masks; {forms}{hint}")]
        faults = []
        if not self.mask_folder.is_dir():
            faults.append(
                Fault(FaultKind.LAYOUT, str(self.mask_folder), "expected a folder with SBD's masks, <id>.mat")
            )
        for path in self.list_files() if with_lists else []:
            if not path.is_file():
                faults.append(Fault(FaultKind.LAYOUT, str(path), "expected SBD's own list of images, one id a line"))
        return faults

    def image_ids(self, faults: list[Fault]) -> dict[str, list[str]]:
        """The images with a mask in SBD, by the list that names them (or by the folder of PNG masks).

        Args:
            faults: faults of the lists are appended here, except missing ones.
        """
        if self.own_folder is None:
            return {str(self.path): _png_names(self.path)}
        return {str(path): list(read_ids(path, faults)) for path in self.list_files()}

    def mask_file(self, image_id: str) -> Path:
        """Where the mask of an id is, if there is one."""
        return self.mask_folder / f"{image_id}.{'png' if self.own_folder is None else 'mat'}"

    def mask(self, image_id: str) -> MaskSource | None:
        """Where the mask of an id comes from; None if there is none."""
        path = self.mask_file(image_id)
        if not os.path.isfile(path):  # not Path.is_file: an id may be longer than the file system allows
            return None
        return path if self.own_folder is None else partial(read_sbd_mask, path)


def read_sbd_mask(path: Path | str) -> np.ndarray:
    """Read a mask in SBD's own form: the field ``Segmentation`` of MATLAB's struct ``GTcls``.

    Args:
        path: a .mat file of MATLAB's versions up to 7.

    Returns:
        (H, W) uint8, the number of a class in every pixel, 0 for the background.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    from scipy.io import loadmat  # here, because it takes a while to import and few runs need it

    try:
        content = loadmat(str(path), appendmat=False, variable_names=["GTcls"])
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such mask file") from None
    except Exception as error:  # damaged files raise nearly every type there is
        raise UserError(f"{path}: is not a .mat file, or is damaged ({error}); unpack SBD again") from error
    try:
        mask = content["GTcls"]["Segmentation"][0, 0]
    except (KeyError, IndexError, ValueError, TypeError):
        raise UserError(f"{path}: has no GTcls.Segmentation; expected a mask of SBD's folder cls") from None
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.ndim != 2:
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise UserError(f"{path}: GTcls.Segmentation is {found}; expected class numbers, uint8 (height, width)")
    return np.ascontiguousarray(mask)


def _has_own_form(folder: Path) -> bool:
    """Whether a folder holds SBD's own masks, or its lists without PNG masks."""
    return (folder / MASKS).is_dir() or (any((folder / name).is_file() for name in LISTS) and not _png_names(folder))


def _png_names(folder: Path) -> list[str]:
    """The ids of the PNG files in a folder, sorted; none if it is missing."""
    if not folder.is_dir():
        return []
    paths = (path for path in folder.iterdir() if path.suffix == ".png" and path.name[0] != ".")
    return sorted(path.stem for path in paths if usable(path.stem))
