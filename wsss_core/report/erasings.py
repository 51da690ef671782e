"""Recursive erasing as rows of pictures: what a classifier still finds after all that it found is erased."""

from collections.abc import Mapping
from dataclasses import dataclass

from wsss_core.files.climb_store import ImageClimb, read_climbs
from wsss_core.report.climbs import normalised
from wsss_core.report.thumbnails import heat_thumbnail, image_thumbnail, thumbnail_size


@dataclass(frozen=True)
class ErasingRound:
    """What a classifier sees and finds in one round."""

    image: str
    """The ``data:`` address of the image, as erased so far."""
    map: str
    """The ``data:`` address of this round's class map, divided by its maximum."""
    probability: float
    """The class's probability, in percent."""


@dataclass(frozen=True)
class Erasing:
    """All rounds of one image, for one of its classes, by one classifier."""

    classifier: str
    """The variant."""
    image_id: str
    class_name: str
    ratio: str
    """The image's ratio of width to height, in CSS."""
    rounds: list[ErasingRound]


def draw_erasings(files: Mapping[str, str]) -> list[Erasing]:
    """Draw all recorded erasings, so that those of all classifiers for one image and class follow each other.

    Args:
        files: by classifier, its file of :func:`wsss_core.cams.record_erasing.record_erasing`.

    Raises:
        UserError: a file is missing or damaged.
    """
    drawn = []
    for classifier, file in files.items():
        classes, recorded = read_climbs(file)
        for erasing in recorded:
            for k, class_index in enumerate(erasing.classes):
                ratio = f"{erasing.width} / {erasing.height}"
                rounds = [_round(erasing, k, number) for number in range(erasing.maps.shape[1])]
                drawn.append(Erasing(classifier, erasing.image_id, classes[class_index], ratio, rounds))
    return sorted(drawn, key=lambda one: (one.image_id, one.class_name))  # stable: the classifiers keep their order


def _round(erasing: ImageClimb, k: int, number: int) -> ErasingRound:
    size = thumbnail_size((erasing.height, erasing.width))
    heat = heat_thumbnail(normalised(erasing.maps[k, number]), size)
    return ErasingRound(image_thumbnail(erasing.images[k, number]), heat, 100 * float(erasing.scores[k, number]))
