"""Shipped configurations, changed at random: each is accepted, or refused in a sentence; nothing else ever happens.

A failure shows its seed, ``WSSS_TEST_SEED``, with which the same changes are made again.
"""

import copy
import datetime
import random

import pytest

from wsss_core.config import load_config, read_yaml
from wsss_core.errors import UserError
from wsss_core.plan.plan import Plan
from wsss_core.plan.sweeps import plan_sweeps

from .test_loading import SHIPPED

LONGEST_MESSAGE = 60_000
# fmt: off
WORDS = ["", " ", "~", "..", "a/b", "a b", "a\nb", "a\0b", "{a}", "é", "\ud800", "x" * 400, "cam", "none", "null", "-",
         "1e5", "@", "$x"]
SCALARS = [None, True, False, 0, 1, -1, 0.5, 1e-300, 1e300, 10**30, -(10**30), 2**63, float("nan"), float("inf"),
           *WORDS]
ODD = [b"x", datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), {1, 2}, [], {}, [None], [[1]], [1, "a"],
       {"a": None}, {"extends": "cam"}, {"extends": ["cam"]}, {"best_on": "subset"}, {"fixed": True}, {"rule": "none"},
       {1: 2}, {None: 1}]
KEYS = [*WORDS, 1, None, True, 2.5, datetime.date(2024, 1, 1), "extends", "method", "weights", "threshold"]
TEXTS = [": ", "- ", "\n", "\t", "'", '"', "[", "]", "{", "}", "&a ", "*a", "<<: *a", "&a [*a]", "&a {b: *a}",
         "!!int x", "!!set {a}", "!!binary aGk=", "!!python/name:os.system ", "2024-31-12", "!!timestamp x", "!!bool x",
         "!!float ''", "0x", ".nan", "-.inf", "1e999", "%TAG\n", "---\n", "...\n", "? ", "| ", "> ", "\0", "\ufeff",
         "\u202e", "9" * 5000, "[" * 2000, "{a: " * 300, "on", "no", "~"]
# fmt: on


def nodes(tree, path=()):
    """The paths of all parts of a tree, but for the tree itself."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def part(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def change(tree, dice):
    """Change one place of a tree."""
    places = list(nodes(tree))
    path = dice.choice(places)
    above, key = part(tree, path[:-1]), path[-1]
    value = copy.deepcopy(dice.choice([*SCALARS, *ODD]))
    match dice.randrange(9):
        case 0 | 1:
            above[key] = value
        case 2:  # numbers are the likeliest to be let through
            numbers = [place for place in places if type(part(tree, place)) in (int, float)]
            place = dice.choice(numbers or places)
            part(tree, place[:-1])[place[-1]] = dice.choice(SCALARS)
        case 3:
            del above[key]
        case 4 if isinstance(above, dict):
            above[dice.choice(KEYS)] = above.pop(key)
        case 5 if isinstance(above, dict):
            above[dice.choice(KEYS)] = value
        case 6:
            above[key] = copy.deepcopy(part(tree, dice.choice(places)))
        case 7:
            above[key] = dice.choice([[above[key]], {"a": above[key]}, str(above[key]), [above[key]] * 40])
        case _:
            section = dice.choice(["sweeps", "resources", "runtime", "extensions", "report", "dataset"])
            tree[section] = {
                "sweeps": {dice.choice(WORDS): {"experiment": "cam", "fields": {".".join(map(str, path)): [1, value]}}},
                "resources": {dice.choice(["predict", *WORDS]): {"gpu": value, "threads": dice.choice(SCALARS)}},
                "runtime": {dice.choice(["results", "shards", "device", "max_mem_mb"]): value},
                "extensions": [value, dice.choice(WORDS)],
                "report": {"images": value},
                "dataset": {"format": dice.choice(["voc", "folder", "coco", value]), "root": value, "classes": [value]},
            }[section]


def change_text(text, dice):
    """Change one place of a text."""
    at = dice.randrange(len(text))
    match dice.randrange(4):
        case 0:
            return text[:at] + dice.choice(TEXTS) + text[at:]
        case 1:  # where a value begins
            at = text.find(": ", at) + 2
            return text[:at] + dice.choice(TEXTS) + text[at:]
        case 2:
            return text[:at] + text[at + dice.choice([1, 4, 60]) :]
        case _:
            lines = text.splitlines(keepends=True)
            lines.insert(dice.randrange(len(lines)), dice.choice(lines))
            return "".join(lines)


def accepted(read):
    """Whether a configuration is accepted, not refused in a message of some length."""
    try:
        raw = read()
        plan_sweeps(raw, Plan(load_config(raw)))
    except UserError as error:
        assert str(error).strip() and len(str(error)) < LONGEST_MESSAGE
        return False
    return True


def change_and_load(dice, number, folder):
    trees = [read_yaml(file) for file in SHIPPED]
    texts = [file.read_text() for file in SHIPPED]
    outcomes = []
    for _ in range(number):
        tree, text = copy.deepcopy(dice.choice(trees)), dice.choice(texts)
        for _ in range(dice.choice([1, 1, 2, 3])):
            change(tree, dice)
            text = change_text(text, dice)
            if not tree:
                break
        file = folder / "changed.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        outcomes += [accepted(lambda tree=tree: tree), accepted(lambda file=file: read_yaml(file))]
    return outcomes


def test_the_same_changes_every_time(tmp_path):
    outcomes = change_and_load(random.Random(4), 40, tmp_path)
    assert True in outcomes and False in outcomes


@pytest.mark.slow
@pytest.mark.parametrize("round_of_changes", range(4))
def test_many_changes(round_of_changes, dice, tmp_path):
    outcomes = change_and_load(dice, 500, tmp_path)
    assert outcomes.count(True) > 20 and outcomes.count(False) > 200
