"""Training images with a mask, a pseudo label, or neither, and how often each kind is drawn."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_core.config.training import Augmentation
from wsss_core.datasets.augmentation import TrainingTransform
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import read_label_map
from wsss_core.datasets.label_values import ignored_value, label_type
from wsss_core.errors import UserError

_ROUNDING = 1e-9


class LabelMapSamples:
    """Training images with their label maps, and whether these are masks.

    Attributes:
        has_mask: for each sample, whether its label map is one of ``masks``.
        labelled: how many samples have a label map.
    """

    def __init__(
        self,
        index: DatasetIndex,
        label_maps: Mapping[str, Path],
        augmentation: Augmentation,
        masks: Mapping[str, Path] | None = None,
        unlabelled: bool = False,
    ) -> None:
        """Use the images of ``index`` that have a label map or mask.

        Args:
            index: the training images.
            label_maps: files by image id.
            augmentation: random changes.
            masks: files by image id, used in place of ``label_maps``.
            unlabelled: also use the other images, without labels.

        Raises:
            UserError: no image has a label map.
        """
        masks = masks or {}
        found = [masks.get(image_id, label_maps.get(image_id)) for image_id in index.image_ids]
        if not any(found):
            raise UserError(f"none of the {len(index)} training images has a label map or mask to train on")
        taken = [unlabelled or label_map is not None for label_map in found]
        rows = zip(index.image_ids, index.image_paths, found, taken, strict=True)
        chosen = [(image_id, path, label_map) for image_id, path, label_map, kept in rows if kept]
        self.files = [(path, label_map) for _, path, label_map in chosen]
        self.has_mask = [image_id in masks for image_id, _, _ in chosen]
        self.labelled = sum(label_map is not None for _, label_map in self.files)
        self.transform = TrainingTransform(augmentation)
        self.classes = len(index.classes)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, bool]:
        image_file, label_file = self.files[index]
        image = read_image(image_file)
        if label_file is None:
            labels = np.full((image.shape[0], image.shape[1]), ignored_value(self.classes), label_type(self.classes))
        else:
            labels = read_label_map(label_file, self.classes)
        if image.shape[:2] != labels.shape:
            raise UserError(
                f"{label_file}: the label map is {labels.shape[0]} x {labels.shape[1]} pixels, "
                f"its image {image_file} {image.shape[0]} x {image.shape[1]}"
            )
        image_tensor, label_tensor = self.transform(image, labels)
        assert label_tensor is not None
        return image_tensor, label_tensor, self.has_mask[index]


def order_with_share(
    has_mask: Sequence[bool], share: float, used: int | None = None
) -> Callable[[torch.Generator], list[int]]:
    """Orders of samples in which any contiguous part has the same share of masks, to within one sample.

    So every step, each part of a step, and each process's share of a part have this share. The place of the first mask
    is drawn again for each order, so that over the epochs every place has its share.

    Args:
        has_mask: for each of N samples, whether it has a mask.
        share: of samples with masks, in (0, 1).
        used: how many samples the steps of an epoch use, by default N; the last ones of an order are left out.

    Returns:
        A function that draws N samples: each kind is shuffled, and repeated as often as needed. Repetitions are
        numbered as in :data:`wsss_core.training.batches.Order`.

    Raises:
        UserError: all samples, or none, have masks, or the share of the used samples is less than one sample.
    """
    number = len(has_mask)
    with_mask = [sample for sample in range(number) if has_mask[sample]]
    others = [sample for sample in range(number) if not has_mask[sample]]
    if not with_mask or not others:
        raise UserError(
            f"'masks_of.share' mixes images with and without masks, but {len(with_mask)} of {number} have one"
        )
    used = number if used is None else used
    if used * share < 1 - _ROUNDING:
        remedy = (
            f"it has to be {math.ceil(1000 / used) / 1000:g} or more" if used > 1 else "more training images are needed"
        )
        raise UserError(
            f"'masks_of.share' is {share}, so that fewer than one of the {used} images in an epoch's steps would have "
            f"a mask; {remedy}"
        )

    def draw(generator: torch.Generator) -> list[int]:
        phase = torch.rand((), generator=generator, dtype=torch.float64).item()
        # Rounded down, these are the numbers of samples with masks before each place, plus a constant below 1.
        places = np.floor(np.arange(number + 1) * share + phase).astype(int)
        masked = np.diff(places).astype(bool)
        order = np.empty(number, dtype=int)
        order[masked] = _repeated(with_mask, int(masked.sum()), number, generator)
        order[~masked] = _repeated(others, int((~masked).sum()), number, generator)
        return order.tolist()

    return draw


def _repeated(kind: Sequence[int], wanted: int, number: int, generator: torch.Generator) -> list[int]:
    """``wanted`` samples of a kind, each used equally often (to within one), and shuffled again for each round."""
    drawn: list[int] = []
    for repetition in range(-(-wanted // len(kind))):
        order = torch.randperm(len(kind), generator=generator).tolist()
        drawn += [repetition * number + kind[position] for position in order]
    return drawn[:wanted]
