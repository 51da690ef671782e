"""A sharded stage's files: ``<shard>-of-<shards><suffix>``, each with its part of the images."""

import re
from pathlib import Path


def shard_names(folder: Path, suffix: str, shards: int) -> list[str]:
    """Names of the files with a sharded stage's result.

    The number of shards says how work is split and does not change results, except for rounding, as it decides which
    images of one size are computed together. So a stage that is already complete with another number keeps it, and
    nothing is computed again.

    Args:
        folder: the folder of the files.
        suffix: the files' suffix, with its dot.
        shards: the number of shards for a stage that is not complete yet, 1 to 999.

    Returns:
        The names in the order of the shards.
    """
    wanted = _names(shards, suffix)
    present = {path.name for path in folder.glob(f"*-of-*{suffix}")}
    if not present or present.issuperset(wanted):
        return wanted
    counts = {int(match[1]) for name in present if (match := re.fullmatch(r"\d{3}-of-(\d{3})\..*", name))}
    complete = [names for count in sorted(counts) if present.issuperset(names := _names(count, suffix))]
    return complete[0] if complete else wanted


def _names(shards: int, suffix: str) -> list[str]:
    return [f"{shard:03d}-of-{shards:03d}{suffix}" for shard in range(shards)]
