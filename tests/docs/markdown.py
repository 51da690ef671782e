"""Reading the manual: its files, links, anchors and blocks of code, as GitHub shows them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SHELL = "sh"
"""What blocks of commands are marked as; one name for all of them, so that none is overlooked."""


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    line: int
    """Of the opening fence, from 1."""
    language: str
    note: str
    """What the HTML comment before it says: how it is known to work, or what it needs."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def pages() -> list[Path]:
    """All pages of the manual."""
    return sorted(
        [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "tests/golden/README.md"]
    )


def name_of(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; a fence may be indented, as in a list.

    Raises:
        AssertionError: a fence is not closed.
    """
    found: list[Block] = []
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        opening = re.match(r"^( *)```(\S*)\s*$", lines[number])
        if opening is None:
            number += 1
            continue
        indent, start = len(opening[1]), number
        end = next((k for k in range(start + 1, len(lines)) if lines[k].strip() == "```"), None)
        assert end is not None, f"{name_of(page)}:{start + 1}: the block is not closed"
        before = re.match(r"^ *<!-- (.*) -->$", lines[start - 1]) if start else None
        text = "\n".join(line[indent:] for line in lines[start + 1 : end])
        found.append(Block(page, start + 1, opening[2], before[1] if before else "", text))
        number = end + 1
    return found


def prose(page: Path) -> str:
    """The page's text without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```\s*$", "", page.read_text(), flags=re.M | re.S)


def code_spans(page: Path) -> list[str]:
    """Code inside sentences, line ends in it as spaces."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Text and target of links and pictures, those in HTML too."""
    text = prose(page)
    yield from re.findall(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", text)
    for target in re.findall(r"<(?:img|a)\b[^>]*?(?:src|href|srcset)=\"([^\"]+)\"", text):
        yield "", target


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", prose(page), flags=re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(anchor if anchor not in found else f"{anchor}-{sum(a.startswith(anchor) for a in found)}")
    return found


def commands(block: Block) -> list[str]:
    """The command lines of a block of the shell: without comments, prompts and outputs, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    lines = [re.sub(r"(^|\s+)# .*$|^#$", "", line).strip() for line in joined.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line]
