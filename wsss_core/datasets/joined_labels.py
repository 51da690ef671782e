"""Finds labels that look like several in one: ``cat, dog``, ``cat/dog``."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_BETWEEN = {
    "','": re.compile(r"\s*[,，、]\s*"),
    "a line break": re.compile(r"\s*[\r\n]\s*"),
    "'；'": re.compile(r"\s*[；｜]\s*"),
    "'/'": re.compile(r"\s*[/\\／]\s*"),
    "'+'": re.compile(r"\s*\+\s*"),
    "'&'": re.compile(r"\s*&\s*"),
    "':'": re.compile(r"\s*:\s*"),
    "'and'": re.compile(r"\s+and\s+", re.IGNORECASE),
    "a space": re.compile(r"\s+"),
    "'-'": re.compile(r"\s*-+\s*"),
    "'_'": re.compile(r"_+"),
}
"""What people put between labels, in words; the first separator that explains a label is reported."""
_SURE = ("','", "a line break", "'；'")
"""Separators that surely join several labels if those also occur elsewhere; even if not, odd in a class name."""
_IN_NAMES = ("a space", "'-'", "'_'")
"""Separators that names of single classes also have (``red car``, ``blue car``)."""
_MANY = 10
"""Fewer combinations of a few words than this may be class names."""


@dataclass(frozen=True)
class JoinedLabel:
    """A label that looks like several."""

    label: str
    """As written."""
    parts: tuple[str, ...]
    """The labels that it seems to be made of."""
    between: str
    """The separator, in words."""
    sure: bool
    """Whether it is hardly a single label."""

    @property
    def in_words(self) -> str:
        """The finding, for a message."""
        parts = [*map(repr, self.parts[:4]), *(["..."] if len(self.parts) > 4 else [])]
        return f"{self.label!r} looks like {' and '.join(parts)} with {self.between} between them"


def made_of(label: str, classes: Collection[str]) -> JoinedLabel | None:
    """The classes that an unknown label is made of; None if it is not made of classes."""
    known = {name.casefold() for name in classes}
    for between, pattern in _BETWEEN.items():
        parts = _parts(label, pattern)
        if len(parts) > 1 and all(part.casefold() in known for part in parts):
            return JoinedLabel(label, parts, between, sure=True)
    return None


def joined_labels(labels: Iterable[str]) -> list[JoinedLabel]:
    """The labels that are made of others, that share all their parts with others, or that have a comma in them."""
    labels = list(labels)
    whole = {label.casefold() for label in labels}
    found: dict[str, JoinedLabel] = {}
    for between, pattern in _BETWEEN.items():
        split = {label: parts for label in labels if label not in found and len(parts := _parts(label, pattern)) > 1}
        labels_with = Counter(part for parts in split.values() for part in {part.casefold() for part in parts})
        # Such as 'clear primary', 'clear primary water', 'haze water', ...: far fewer words than labels.
        many = len(split) >= _MANY and 2 * len(labels_with) <= len(split)
        for label, parts in split.items():
            folded = {part.casefold() for part in parts}
            known = folded <= whole or (
                between not in _IN_NAMES and all(part in whole or labels_with[part] > 1 for part in folded)
            )
            if known or many or between in _SURE:
                found[label] = JoinedLabel(label, parts, between, sure=known and between in _SURE)
    return list(found.values())


def _parts(label: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, pattern.split(label))))
