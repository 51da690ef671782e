"""Lists, a line each, of what a killed run had finished; a line is added when a piece is done."""

from pathlib import Path

from wsss_core.files.atomic import write_text


def read_record(record: Path) -> list[str]:
    """The whole lines of a record, without their ends; none if there is no record.

    A line that a kill has cut short says nothing, and is removed: what is added next would become a part of it. Bytes
    that are no text make a line that names nothing.

    Args:
        record: the file, UTF-8 but for what is damaged.
    """
    if not record.exists():
        return []
    *whole, cut = record.read_bytes().split(b"\n")
    lines = [line.decode("utf-8", errors="surrogateescape") for line in whole]
    if cut:
        write_text(record, "".join(f"{line}\n" for line in lines), errors="surrogateescape")
    return lines
