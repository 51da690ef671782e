"""Folders of images that are named like splits: ``images/train/``, ``images/valid/``, ``images/test/``."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wsss_core.datasets.folder.folder_splits import SPLIT_NAMES

_FURTHER = r"[\s_.-]*(?:set|data|split|images?|imgs?|pics|photos|\d{2,4})?"
_SPLIT = re.compile(f"({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))}){_FURTHER}", re.IGNORECASE)
_UNCLEAR = re.compile(rf"(?:eval|evaluation|hold[\s_-]?out|held[\s_-]?out|unseen|unlabell?ed){_FURTHER}", re.IGNORECASE)
"""Names of folders for something else than training, which do not tell for what."""


@dataclass(frozen=True)
class SplitFolders:
    """What the folders of a data set say of its splits."""

    splits: Mapping[str, str]
    """``train``, ``val`` or ``test`` by image id, of all images; empty if the folders do not say it."""
    why_not: str = ""
    """Why they do not, though some are named so; empty if none is."""


def splits_by_folder(image_ids: Collection[str]) -> SplitFolders:
    """The splits that the images' folders are named for.

    They count where all images lie in such folders at the same depth (``images/train/...``, or
    ``images/<any>/train/...``), and some of them are for training, others not. Where none is for validation, ``val`` is
    left to be drawn from those for training.

    Args:
        image_ids: all images; folders are apart by ``/``.
    """
    folders = {image_id: image_id.split("/")[:-1] for image_id in image_ids}
    for depth in range(max(map(len, folders.values()), default=0)):
        named = {
            image_id: split
            for image_id, parts in folders.items()
            if len(parts) > depth and (split := _split(parts[depth])) is not None
        }
        if len(named) == len(folders) and "train" in named.values() and len(set(named.values())) > 1:
            return SplitFolders(named)
    return SplitFolders({}, _why_not(folders))


def _split(folder: str) -> str | None:
    match = _SPLIT.fullmatch(folder.strip())
    return None if match is None else SPLIT_NAMES[match[1].casefold()]


def _why_not(folders: Mapping[str, list[str]]) -> str:
    """Why folders that are named like splits do not count, if some are for something else than training."""
    told = {
        part: image_id
        for image_id, parts in folders.items()
        for part in parts
        if _split(part) in ("val", "test") or _UNCLEAR.fullmatch(part.strip())
    }
    if not told:
        return ""
    others = [image_id for image_id, parts in folders.items() if not any(map(_split, parts))]
    name = min(told)
    if others:
        reason = f"{min(others)!r} ({len(others)} like it) lies in no folder that is named train, val or test"
    else:
        reason = "there is none named train beside it, at the same depth for all images"
    return f"the folder {name!r} (of {told[name]!r}) is named like a split, but is not taken for one: {reason}"
