"""Finds splits in the names of image folders: ``images/train/``, ``images/valid/``, ``images/test/``."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wsss_core.datasets.folder.folder_splits import SPLIT_NAMES

_FURTHER = r"[\s_.-]*(?:set|data|split|images?|imgs?|pics|photos|\d{2,4})?"
_SPLIT = re.compile(f"({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))}){_FURTHER}", re.IGNORECASE)
_UNCLEAR = re.compile(rf"(?:eval|evaluation|hold[\s_-]?out|held[\s_-]?out|unseen|unlabell?ed){_FURTHER}", re.IGNORECASE)
"""Names of folders that are not for training, but do not say whether for validation or test."""
_WORDS = {
    **{name: split for name, split in SPLIT_NAMES.items() if name != "dev"},
    **{"trn": "train", "tr": "train", "tst": "test", "ts": "test"},
}
"""Words for splits, lower case, that names may contain (``imagesTr``, ``01_train``, ``test_a``)."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_AT_AN_END = re.compile(r"(train|val|valid|test)(.+)|(.+)(train|val|valid|test)", re.IGNORECASE)


@dataclass(frozen=True)
class SplitFolders:
    """The splits of a data set according to its folders."""

    splits: Mapping[str, str]
    """``train``, ``val`` or ``test`` by image id, of all images; empty if the folders do not say."""
    why_not: str = ""
    """Why folders with names of splits do not count; empty if there are none."""


def splits_by_folder(image_ids: Collection[str]) -> SplitFolders:
    """The splits that the names of the images' folders say.

    They count if all images are in such folders at the same depth (``images/train/...``, or
    ``images/<any>/train/...``), some for training and some not. Without one for validation, the caller has to draw
    ``val`` from the training images.

    Args:
        image_ids: all images, with ``/`` between folders.
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
    """Why folders named like splits do not count, if some are not for training."""
    named = {
        part: image_id
        for image_id, parts in folders.items()
        for part in parts
        if _split(part) in ("val", "test") or _UNCLEAR.fullmatch(part.strip())
    }
    if not named:
        return _alike(folders)
    others = [image_id for image_id, parts in folders.items() if not any(map(_split, parts))]
    name = min(named)
    if others:
        reason = f"{min(others)!r} ({len(others)} like it) is in no folder named train, val or test"
    else:
        reason = "there is none named train next to it, at the same depth for all images"
    return f"the folder {name!r} (of {named[name]!r}) is named like a split, but is not taken for one: {reason}"


def _alike(folders: Mapping[str, list[str]]) -> str:
    """Why names that resemble splits do not count: they have another form, or are names of files."""
    parts = sorted({part for parts in folders.values() for part in parts})
    files = sorted({image_id.rpartition("/")[2] for image_id in folders})
    for names, what in ((parts, "folders"), (files, "images")):
        for split_of in (_split_by_word, _split_at_an_end):
            splits = split_of(names)
            train = next((name for name in names if splits.get(name) == "train"), None)
            other = next((name for name in names if splits.get(name) in ("val", "test")), None)
            if train and other:
                return (
                    f"the {what} {train!r} and {other!r} (and others like them) are named like splits, but are not "
                    "taken as splits: only folders named train, val (or valid) and test are, as in "
                    "images/train/ and images/test/"
                )
    return ""


def _split_by_word(names: Collection[str]) -> dict[str, str]:
    """The splits of names that contain words for exactly one split."""
    found = {
        name: {_WORDS[word] for word in map(str.casefold, _WORD.findall(name)) if word in _WORDS} for name in names
    }
    return {name: min(splits) for name, splits in found.items() if len(splits) == 1}


def _split_at_an_end(names: Collection[str]) -> dict[str, str]:
    """The splits of names that begin or end with one and are equal but for it, such as xraytrain and xraytest."""
    found = {}
    for name in names:
        if match := _AT_AN_END.fullmatch(name):
            first, after, before, last = match.groups()
            found[name] = SPLIT_NAMES[(first or last).casefold()], (before or "", after or "")
    rests: dict[tuple[str, str], set[str]] = {}
    for split, rest in found.values():
        rests.setdefault(rest, set()).add(split)
    return {name: split for name, (split, rest) in found.items() if len(rests[rest]) > 1}
