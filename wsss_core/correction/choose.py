"""Chooses the images for a person to correct."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsss_core.correction.made_labels import label_maps_of
from wsss_core.correction.worth import confidences, disagreements, worst
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.subset import read_subset
from wsss_core.errors import UserError
from wsss_core.plan.artifacts import Artifact


@dataclass(frozen=True)
class Choice:
    """How images are chosen."""

    by: Literal["confidence", "disagreement"] | None
    """The order: the lowest confidence first, or the largest disagreement; None keeps the data set's order."""
    listing: Path | None
    """A text file of image ids, one a line, to choose from; None for all."""
    number: int | None
    """How many images, at most; None for all."""


def choose(
    choice: Choice, artifact: Artifact, others: Sequence[Artifact], images: DatasetIndex, device: str
) -> tuple[list[str], dict[str, float]]:
    """The ids of the chosen images in order, and the figures that determine the order.

    Args:
        choice: how to choose.
        artifact: has the label maps to correct.
        others: artifacts of the same stage, with which ``disagreement`` compares.
        images: all images with label maps in ``artifact``.
        device: for running a network, if needed.

    Raises:
        UserError: the choice has no effect or is impossible, or an image of the list has no label map.
    """
    if choice.number is not None and choice.number < 1:
        raise UserError(f"--worst: has to be 1 or more, not {choice.number}")
    if choice.by == "disagreement" and not others:
        raise UserError("--by disagreement: give other experiments to compare with (--with NAME)")
    if choice.by != "disagreement" and others:
        raise UserError("--with: is for --by disagreement")
    if choice.number is not None and choice.by is None:
        raise UserError("--worst: say by what (--by confidence, or --by disagreement --with NAME)")
    maps = label_maps_of(artifact)
    known = [image_id for image_id in images.image_ids if image_id in maps]
    if choice.listing is not None:
        listed = read_subset(choice.listing)
        strangers = [image_id for image_id in listed if image_id not in maps]
        if strangers:
            raise UserError(
                f"{choice.listing}: '{strangers[0]}' has no label map in {artifact.directory} ({len(strangers)} of "
                f"{len(listed)} like it)"
            )
        known = listed
    if choice.by is None:
        return known, {}
    candidates = images.only(known)
    if choice.by == "confidence":
        worth = confidences(artifact, candidates, device)
    else:
        same = [other.variant for other in others if other.directory == artifact.directory]
        if same:
            raise UserError("--with: an experiment has exactly the same labels; name one that made them differently")
        worth = disagreements([artifact, *others], candidates)
        if len(worth) < len(candidates):
            raise UserError("--with: an experiment lacks label maps of some of the images")
    return worst(worth, choice.number, lowest=choice.by == "confidence"), worth
