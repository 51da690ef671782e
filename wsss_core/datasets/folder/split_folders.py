"""Folders of images that are named like splits: ``images/train/``, ``images/valid/``, ``images/test/``."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wsss_core.datasets.folder.folder_splits import SPLIT_NAMES

_FURTHER = r"[\s_.-]*(?:set|data|split|images?|imgs?|pics|photos|\d{2,4})?"
_SPLIT = re.compile(f"({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))}){_FURTHER}", re.IGNORECASE)
_UNCLEAR = re.compile(rf"(?:eval|evaluation|hold[\s_-]?out|held[\s_-]?out|unseen|unlabell?ed){_FURTHER}", re.IGNORECASE)
"""Names of folders for something else than training, which do not tell for what."""
_WORDS = {
    **{name: split for name, split in SPLIT_NAMES.items() if name != "dev"},
    **{"trn": "train", "tr": "train", "tst": "test", "ts": "test"},
}
"""Words for splits, lower case, that names may have among others (``imagesTr``, ``01_train``, ``test_a``)."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_AT_AN_END = re.compile(r"(train|val|valid|test)(.+)|(.+)(train|val|valid|test)", re.IGNORECASE)


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
        return _alike(folders)
    others = [image_id for image_id, parts in folders.items() if not any(map(_split, parts))]
    name = min(told)
    if others:
        reason = f"{min(others)!r} ({len(others)} like it) lies in no folder that is named train, val or test"
    else:
        reason = "there is none named train beside it, at the same depth for all images"
    return f"the folder {name!r} (of {told[name]!r}) is named like a split, but is not taken for one: {reason}"


def _alike(folders: Mapping[str, list[str]]) -> str:
    """Whether names say the splits in a form that is not followed: in other words, or for the files themselves."""
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
                    "taken for ones: only folders named train, val (or valid) and test are, as in "
                    "images/train/ and images/test/"
                )
    return ""


def _split_by_word(names: Collection[str]) -> dict[str, str]:
    """The splits of names that have a word for one, and for no other."""
    found = {
        name: {_WORDS[word] for word in map(str.casefold, _WORD.findall(name)) if word in _WORDS} for name in names
    }
    return {name: min(splits) for name, splits in found.items() if len(splits) == 1}


def _split_at_an_end(names: Collection[str]) -> dict[str, str]:
    """The splits of names that begin or end so, where another split's name has the same rest: xraytrain, xraytest."""
    found = {}
    for name in names:
        if match := _AT_AN_END.fullmatch(name):
            first, after, before, last = match.groups()
            found[name] = SPLIT_NAMES[(first or last).casefold()], (before or "", after or "")
    rests: dict[tuple[str, str], set[str]] = {}
    for split, rest in found.values():
        rests.setdefault(rest, set()).add(split)
    return {name: split for name, (split, rest) in found.items() if len(rests[rest]) > 1}
