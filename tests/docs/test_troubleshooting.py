"""The messages that the manual explains are the program's own: their fixed words stand in the source."""

import ast
import re

from .markdown import REPOSITORY

PAGE = REPOSITORY / "docs/troubleshooting.md"
HOLE = "\0"
SHORTEST = 8
"""Fragments of fewer characters say nothing."""


def texts_of(node):
    """What a string expression reads as, with a hole for each value."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(part.value if isinstance(part, ast.Constant) else HOLE for part in values)


def all_messages():
    """Every string of the package, adjacent literals as one, and the script that looks for a Python."""
    yield (REPOSITORY / "envs/find_python.sh").read_text()
    for file in (REPOSITORY / "wsss_core").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            text = texts_of(node)
            if text:
                yield text


def test_every_message_is_in_the_source():
    messages = set(all_messages())
    quoted = re.findall(r"^- \*\*`([^`]+)`\*\*", PAGE.read_text(), re.M)
    assert len(quoted) > 40
    for message in quoted:
        fragments = [part.strip(" :;,.()'") for part in " ".join(message.split()).split("…")]
        fragments = [part for part in fragments if len(part) >= SHORTEST]
        assert fragments, message
        for fragment in fragments:  # a message may be put together of several strings
            assert any(fragment in text for text in messages), f"no part of the program says {fragment!r}"
