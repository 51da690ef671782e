"""Images without any class: which are negative examples, and which are left out because their content is unknown."""

from collections.abc import Sequence
from pathlib import Path

from wsss_core.config.dataset import Dataset
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.index import SPLITS
from wsss_core.datasets.raw_dataset import ListedImage


def left_out_without_class(images: Sequence[ListedImage], settings: Dataset) -> list[Fault]:
    """The training images without a class that ``negatives`` leaves out of the training, each with the reason.

    Args:
        images: the images without faults.
        settings: the block ``dataset`` of the configuration.
    """
    faults = []
    for image in images:
        if image.split != "train" or image.labels or _is_negative(image, settings):
            continue
        if settings.negatives == "none":
            detail = (
                "shows no class and is left out of the training; name its classes, if it shows any, or train on such "
                "images with 'dataset.negatives: listed'"
            )
        else:
            detail = (
                f"does not say what {image.image_id!r} shows, which is left out of the training; add a row, with an "
                "empty label if it shows no class, or use all such images as examples without classes with "
                "'dataset.negatives: all'"
            )
        faults.append(Fault(FaultKind.NO_CLASS, image.described_in, detail, image.image_id))
    return faults


def without_class_in_words(images: Sequence[ListedImage], settings: Dataset) -> str:
    """One line: how many images of each split have no class, and what is done with them; empty if all have one.

    Args:
        images: the images without faults, including those that are left out because they have no class.
        settings: the block ``dataset`` of the configuration.
    """
    by_split = []
    for split in SPLITS:
        of_split = [image for image in images if image.split == split]
        without = [image for image in of_split if not image.labels]
        if not without:
            continue
        negative = [image for image in without if _is_negative(image, settings)]
        parts: list[tuple[Sequence[ListedImage], str]]
        if split == "train":
            others = [image for image in without if not _is_negative(image, settings)]
            why = "by 'negatives: none'" if settings.negatives == "none" else "because no label says what they show"
            parts = [(negative, "trained on as examples that show none"), (others, f"left out of the training, {why}")]
        else:
            parts = [(without, "scored anyway")]
        done = " and ".join(f"{len(some)} {what} (such as {some[0].image_id!r})" for some, what in parts if some)
        by_split.append(f"{len(without)} of {len(of_split)} {split} images, {done}")
    return f"images without any class: {'; '.join(by_split)}" if by_split else ""


def classes_without_counterexample(
    images: Sequence[ListedImage], classes: Sequence[str], root: Path, left_out: Sequence[ListedImage] = ()
) -> list[Fault]:
    """Classes that every training image shows, so that a classifier has no negative example.

    Args:
        images: the images to train on.
        classes: all names.
        root: the data set's folder, for messages.
        left_out: further training images without faults that ``negatives`` leaves out.
    """
    if not images:
        return []
    everywhere = frozenset.intersection(*(image.labels for image in images))
    only = " It is the only class." if len(classes) == 1 else ""
    detail = (
        "all {} training images show {!r}: there is no negative example, so a classifier cannot learn what "
        "distinguishes the class, and its maps will show little.{} {}"
    )
    advice = _advice_on_left_out(left_out) or "Add images without it (with an empty label if they show no class at all)"
    return [
        Fault(FaultKind.IN_EVERY_IMAGE, str(root), detail.format(len(images), name, only, advice))
        for name in classes
        if name in everywhere
    ]


def _advice_on_left_out(images: Sequence[ListedImage]) -> str:
    """How to use the negative examples that were left out; empty if there are none."""
    listed = sum(image.listed for image in images)
    advice = []
    if listed:
        advice.append(
            f"{listed} images without it exist but are left out; 'dataset.negatives: listed' trains on them, as "
            "examples that show no class"
        )
    if unlisted := len(images) - listed:
        advice.append(
            f"{unlisted} images without any label exist but are left out; if they show no class, "
            "'dataset.negatives: all' trains on them"
        )
    return ". ".join(advice)


def _is_negative(image: ListedImage, settings: Dataset) -> bool:
    """Whether an image without a class counts as an example that shows none of the classes."""
    return settings.negatives == "all" or (settings.negatives == "listed" and image.listed)
