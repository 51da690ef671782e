"""Finds the image of the data set that a name in an annotation file means."""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from wsss_core.datasets.image_ids import image_suffixes
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
"""Label Studio's prefix for the names of uploaded files."""


class ImageNames:
    """The images of a data set, by their names in annotation tools."""

    def __init__(self, images: DatasetIndex) -> None:
        """Take the ids of an index."""
        self._ids = set(images.image_ids)
        self._by_end: dict[str, list[str]] = defaultdict(list)
        for image_id in images.image_ids:
            self._by_end[PurePosixPath(image_id).name].append(image_id)

    def find(self, name: str) -> str:
        """The id of an image.

        Args:
            name: an id or a path, with or without suffix; leading folders that the tool has added are ignored.

        Raises:
            UserError: there is no such image, or there are several.
        """
        path = name.replace("\\", "/")
        parts = path.split("/")
        for first in range(len(parts)):
            for spelling in _spellings("/".join(parts[first:])):
                if spelling in self._ids:
                    return spelling
        for spelling in _spellings(parts[-1]):
            found = self._by_end.get(spelling, [])
            if len(found) == 1:
                return found[0]
            if found:
                raise UserError(f"may be {' or '.join(map(repr, sorted(found)[:3]))}; give it its folder too")
        raise UserError("is no image of the data set")


def _spellings(name: str) -> list[str]:
    """The ids that a name may mean, the likeliest first."""
    stem, dot, suffix = name.rpartition(".")
    bare = [stem] if dot and stem and f".{suffix.lower()}" in image_suffixes() else []
    names = [name, *bare]
    return [*names, *(_UPLOADED.sub("", n, count=1) for n in names if _UPLOADED.match(n))]
