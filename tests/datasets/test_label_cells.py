"""Cells with several labels, and labels that look like several."""

import pytest

from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.folder.label_cells import labels_in
from wsss_core.datasets.folder.label_table import read_label_table
from wsss_core.datasets.joined_labels import joined_labels, made_of


@pytest.mark.parametrize(
    "cell",
    [
        "cat;dog",
        "cat | dog",
        '["cat", "dog"]',
        "['cat', 'dog']",
        "['cat' 'dog']",
        "('cat', 'dog')",
        "{'cat', 'dog'}",
        "[cat, dog]",
        '{"choices": ["cat", "dog"]}',
        '[{"x": 1, "rectanglelabels": ["cat"]}, {"x": 2, "rectanglelabels": ["dog"]}]',
        '[{"value": {"choices": ["cat", "dog"]}, "type": "choices"}]',
    ],
)
def test_lists_of_labels_are_read(cell):
    assert labels_in(cell) == {"cat", "dog"}


@pytest.mark.parametrize(
    "cell, labels",
    [
        ("", set()),
        ("[]", set()),
        ('[""]', set()),
        ('"cat"', {"cat"}),
        ("person (adult)", {"person (adult)"}),
        ("(adult)", {"(adult)"}),
        ('["\\ud83d\\udc15"]', {"\N{DOG}"}),
        ("[3, 7]", {"3", "7"}),
    ],
)
def test_cells_that_are_nearly_lists(cell, labels):
    assert labels_in(cell) == labels


@pytest.mark.parametrize("cell", ["[null]", '{"cat": 1}', "{cat}", '["cat"', '["cat", 1.5]', "[" * 3000 + "]" * 3000])
def test_a_list_of_something_else_is_refused(cell):
    if cell == '["cat"':  # begins as one only
        assert labels_in(cell) == {cell}
        return
    with pytest.raises(ValueError, match="looks like a list and is none of labels"):
        labels_in(cell)


def test_a_list_with_a_number_for_each_class_is_refused():
    with pytest.raises(ValueError, match="a 1 or 0 for each class"):
        labels_in("[0, 1, 0]")


@pytest.mark.parametrize(
    "joined, between, sure",
    [
        ("cat, dog", "','", True),
        ("Cat,DOG", "','", True),
        ("cat、dog", "','", True),
        ("cat\ndog", "a line break", True),
        ("cat/dog", "'/'", False),
        ("cat + dog", "'+'", False),
        ("cat and dog", "'and'", False),
        ("cat dog", "a space", False),
        ("cat_dog", "'_'", False),
    ],
)
def test_a_label_made_of_others(joined, between, sure):
    found = joined_labels(["cat", "dog", joined, "mouse"])
    assert [(one.label, one.between, one.sure) for one in found] == [(joined, between, sure)]
    assert made_of(joined, ["cat", "dog", "mouse"]).between == between


def test_labels_that_never_stand_alone():
    names = ["cat, dog", "dog, mouse", "mouse, cat"]
    assert [(one.label, one.sure) for one in joined_labels(names)] == [(name, True) for name in names]
    words = ["clear", "haze", "water", "road", "farm"]
    pairs = [f"{a} {b} {c}" for a in words for b in words for c in words if a < b < c]
    assert len(joined_labels(pairs)) == len(pairs)


def test_names_of_single_classes():
    assert joined_labels(["red car", "blue car", "red bus", "hot dog", "dog", "rock & roll", "traffic-light"]) == []
    assert made_of("hot dog", ["cat", "dog"]) is None
    # A comma is odd all the same.
    assert [one.sure for one in joined_labels(["tench, Tinca tinca", "goldfish"])] == [False]


def odd_labels(tmp_path, *labels: str) -> list[str]:
    """What is said of a table with these labels."""
    table = tmp_path / "labels.csv"
    table.write_text("image,label\n" + "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels)))
    return [fault.detail for fault in read_label_table(table, None).warnings if fault.kind == FaultKind.ODD_LABEL]


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("No", "Yes"), ("FALSE", "TRUE"), ("0.0", "1.0"), ("n", "y")])
def test_labels_that_say_whether_and_not_what_are_reported(tmp_path, no, yes):
    (reported,) = odd_labels(tmp_path, no, yes, yes, no)
    assert reported.startswith(f"the only labels are '{no}' and '{yes}', which are taken as two classes")
    assert f"write its name instead, and leave the cell empty in place of '{no}'" in reported


def test_labels_with_a_number_are_reported(tmp_path):
    (reported,) = odd_labels(tmp_path, "cat:0.9", "dog", "dog: 1", "cat=80%")
    assert reported.startswith("'cat:0.9' (line 2) (and 2 labels like it) looks like a name and a number")
    assert reported.endswith("write only 'cat'")


@pytest.mark.parametrize("labels", [["0", "1", "2"], ["1"], ["no", "1"], ["A:B", "cat 3", "12:30", "mark2"]])
def test_labels_that_are_none_of_these(tmp_path, labels):
    assert odd_labels(tmp_path, *labels) == []
