"""Reads a large JSON file record by record, with memory for one record, not for the whole file.

A file such as MS-COCO's ``instances_train2014.json`` is one object with a few members, most of them long arrays.
``json.load`` would keep every coordinate of every polygon as a Python number: several times the file's size.
"""

import json
import re
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wsss_core.errors import UserError
from wsss_core.files.file_kinds import stand_in
from wsss_core.jobs.progress import Progress

CHUNK = 2**20
"""The least number of bytes that are read at a time."""
MEBIBYTE = 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HALF_A_WORD = re.compile(r"[A-Za-z0-9.+-]*\s*\Z")
"""Matches the unreadable rest of a file that ends too early."""


class Record(NamedTuple):
    """A value in a JSON file, and its place."""

    member: str
    """The member of the file's object that is the value or, if it is an array, contains it."""
    value: Any
    """The value, as parsed by ``json``."""
    offset: int
    """Its first byte in the file."""
    length: int
    """Its length in bytes."""


class JsonRecords:
    """The elements of the arrays in a JSON file's object, in the file's order; other members are one record each.

    Attributes:
        arrays: names of the members that are arrays, including empty ones, as far as the file has been read.
    """

    def __init__(self, path: Path | str) -> None:
        """Read nothing yet."""
        self.path = Path(path)
        self.arrays: set[str] = set()

    def __iter__(self) -> Iterator[Record]:
        """Read the file from its beginning, with a progress bar.

        Raises:
            UserError: the file cannot be read, is truncated, or is not a JSON object.
        """
        self.arrays = set()
        try:
            with open(self.path, "rb") as file:
                window = _Window(file, self.path)
                try:
                    yield from self._members(window)
                finally:
                    window.progress.close()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        except RecursionError as error:
            raise UserError(f"{self.path}: has values nested too deeply for any data set") from error

    def _members(self, window: "_Window") -> Iterator[Record]:
        window.expect("{")
        if not window.skip("}"):
            while True:
                if window.peek() != '"':
                    window.expect('"')
                name = window.value("").value
                window.expect(":")
                if window.skip("["):
                    self.arrays.add(name)
                    if not window.skip("]"):
                        yield window.value(name)
                        while not window.skip("]"):
                            window.expect(",")
                            yield window.value(name)
                else:
                    yield window.value(name)
                if window.skip("}"):
                    break
                window.expect(",")
        if window.peek():
            window.fail("has more after its end")


class _Window:
    """The part of a file that is in memory.

    Its bytes are decoded as Latin-1, so that positions in the text are positions in the file; JSON's own characters
    are the same in UTF-8. Values with other letters are decoded again.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        mebibytes = -(-path.stat().st_size // MEBIBYTE)
        self.progress = Progress(f"Reading {path.name}", mebibytes, unit="MiB")
        self._decoder = json.JSONDecoder()
        marked = file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK
        self._text, self._start, self._at = "", file.seek(len(_BYTE_ORDER_MARK) if marked else 0), 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is not a space; empty at the end of the file."""
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if sign not in " \t\n\r":
                    return sign
                self._at += 1
            if not self._more():
                return ""

    def skip(self, sign: str) -> bool:
        """Move past ``sign`` if it is next; returns whether it was."""
        if self.peek() != sign:
            return False
        self._at += 1
        return True

    def expect(self, sign: str) -> None:
        """Move past ``sign``, which must be next."""
        if not self.skip(sign):
            self.fail(f"has no {sign!r} where one is expected" if self.peek() else "ends too early: it is truncated")

    def value(self, member: str) -> Record:
        """Read the value that begins here, and move past it."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # A number at the window's edge may continue after it.
                if isinstance(value, (int, float)) and _HALF_A_WORD.match(self._text, end) and self._more():
                    continue
                break
            except JSONDecodeError as error:
                if not self._more():
                    cut = _HALF_A_WORD.match(self._text, error.pos) or error.msg.startswith("Unterminated")
                    self.fail("ends too early: it is truncated" if cut else f"is not JSON ({error.msg})", error.pos)
            except ValueError:  # Python limits the length of numbers
                self.fail("has a number of thousands of digits")
        text = self._text[self._at : end]
        if not text.isascii():
            try:
                value = json.loads(text.encode("latin-1").decode("utf-8"))
            except UnicodeDecodeError:
                self.fail("has characters that are not UTF-8")
        record = Record(member, value, self._start + self._at, end - self._at)
        self._at = end
        return record

    def fail(self, what: str, position: int | None = None) -> None:
        """Raise an error that says what is wrong at a position of the text."""
        if (found := stand_in(self._path)) is not None:
            raise UserError(f"{self._path}: {found}")
        byte = self._start + (self._at if position is None else position)
        raise UserError(f"{self._path}: {what} (at byte {byte}); copy or download it again")

    def _more(self) -> bool:
        """Read more; returns whether there was more."""
        if self._ended:
            return False
        # A large value is decoded again after each step; doubling the window keeps that from taking quadratic time.
        content = self._file.read(max(CHUNK, len(self._text) - self._at))
        if not content:
            self._ended = True
            return False
        self._text, self._start = self._text[self._at :] + content.decode("latin-1"), self._start + self._at
        self._at = 0
        read = -(-(self._start + len(self._text)) // MEBIBYTE)
        self.progress.advance(read - self.progress.done)
        return True
