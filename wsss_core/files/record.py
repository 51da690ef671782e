"""Lists of what a run has finished, one item per line, for a rerun after a kill."""

from pathlib import Path

from wsss_core.files.atomic import write_text


def read_record(record: Path) -> list[str]:
    """The complete lines of a record, without line ends; none if there is no record.

    A line that a kill cut short is removed, as the next item would become a part of it. A line with bytes that are not
    text is kept, but names nothing.

    Args:
        record: the file, in UTF-8 except for damaged parts.
    """
    if not record.exists():
        return []
    *whole, cut = record.read_bytes().split(b"\n")
    lines = [line.decode("utf-8", errors="surrogateescape") for line in whole]
    if cut:
        write_text(record, "".join(f"{line}\n" for line in lines), errors="surrogateescape")
    return lines
