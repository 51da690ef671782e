"""Which image of the data set an annotation tool means."""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from wsss_core.datasets.image_ids import image_suffixes
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the names of files that were uploaded to it."""


class ImageNames:
    """The images of a data set, by what tools call them."""

    def __init__(self, images: DatasetIndex) -> None:
        """Take the ids of an index."""
        self._ids = set(images.image_ids)
        self._by_end: dict[str, list[str]] = defaultdict(list)
        for image_id in images.image_ids:
            self._by_end[PurePosixPath(image_id).name].append(image_id)

    def find(self, name: str) -> str:
        """The id of an image.

        Args:
            name: an id or a path, with or without suffix; of its folders, those that the tool has added do not count.

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
    """What an id may be called, the likeliest first."""
    stem, dot, suffix = name.rpartition(".")
    bare = [stem] if dot and stem and f".{suffix.lower()}" in image_suffixes() else []
    names = [name, *bare]
    return [*names, *(_UPLOADED.sub("", n, count=1) for n in names if _UPLOADED.match(n))]
