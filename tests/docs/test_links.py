"""Every link, anchor and picture of the manual leads somewhere. Addresses elsewhere are checked by their form alone."""

import ast
import re
import urllib.parse

import pytest

from .markdown import REPOSITORY, anchors, links, name_of, pages


def definitions(file):
    """Names that a Python file defines: functions, classes, methods and constants, also as ``Class.method``."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.FunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                names |= {name, *(f"{name}.{inner.name}" for inner in body if isinstance(inner, ast.FunctionDef))}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page):
    for text, target in links(page):
        if re.match(r"[a-z]+:", target):
            address = urllib.parse.urlsplit(target)
            assert address.scheme == "https" and "." in address.netloc and " " not in target, target
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / urllib.parse.unquote(path)).resolve() if path else page
        assert file.exists(), f"{name_of(page)}: there is no {target}"
        assert file.is_relative_to(REPOSITORY), f"{name_of(page)}: {target} lies outside of the repository"
        if anchor:
            assert anchor in anchors(file), f"{name_of(page)}: {target}: no such heading in {path or page.name}"
        code = re.fullmatch(r"`([\w.]+)`", text)
        if file.suffix == ".py" and code and not code[1].endswith(".py"):
            assert code[1] in definitions(file), f"{name_of(page)}: {path} defines no {code[1]}"


def test_every_page_is_found_from_the_readme():
    reached, todo = set(), [REPOSITORY / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = (target.partition("#")[0] for _, target in links(page) if ":" not in target)
        todo += [file for target in targets if (file := (page.parent / target).resolve()).suffix == ".md"]
    assert [name_of(page) for page in pages() if page not in reached] == []


def test_pictures_are_small():
    for picture in (REPOSITORY / "docs").rglob("*.png"):
        assert picture.stat().st_size < 300_000, picture
