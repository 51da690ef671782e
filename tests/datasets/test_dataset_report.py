"""The page about a data set and its table, read back from what was written."""

import csv
import html.parser
import time

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss_core.config.class_names import COCO_CLASSES
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.index import COLUMNS, DatasetIndex, join_labels
from wsss_core.datasets.report.dataset_counts import class_counts, images_together, size_map, strongest_pairs
from wsss_core.datasets.report.dataset_report import LISTED_PER_KIND, write_dataset_report

VOID = {"meta", "link", "br", "rect", "line"}
OPTIONAL = {"tr", "td", "th", "thead", "tbody"}


class Page(html.parser.HTMLParser):
    """What a browser would get of a page: its text, and whether all elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.open, self.addresses = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in VOID | OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID | OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def made_index(rows, classes=("cat", "dog", "bird")):
    """An index of (split, labels, height, width)."""
    table = [
        (f"id{n}", split, f"images/{n}.jpg", height, width, join_labels(set(labels), classes))
        for n, (split, labels, height, width) in enumerate(rows)
    ]
    return DatasetIndex(tuple(classes), pandas.DataFrame(table, columns=list(COLUMNS)))


SMALL = made_index(
    [
        ("train", ["cat"], 300, 400),
        ("train", ["cat", "dog"], 300, 400),
        ("train", ["cat", "dog"], 20, 1000),
        ("val", [], 300, 400),
        ("val", ["dog"], 500, 333),
    ]
)


def large_index(images, classes):
    """Random labels and sizes."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(len(classes)))
    numbers = rng.choice(len(classes), size=(images, 4), p=share)
    sizes = rng.integers(200, 641, size=(images, 2))
    labels = [";".join(classes[k] for k in sorted(set(row.tolist()))) for row in numbers]
    split = np.where(np.arange(images) < 2 * images // 3, "train", "val")
    columns = [[f"id{n}" for n in range(images)], split, "x.jpg", sizes[:, 0], sizes[:, 1], labels]
    return DatasetIndex(tuple(classes), pandas.DataFrame(dict(zip(COLUMNS, columns, strict=True))))


def written(folder, index, warnings=(), skipped=(), title="data/voc"):
    page, table = folder / "report.html", folder / "report.csv"
    write_dataset_report(title, index, warnings, skipped, page, table)
    return page.read_text(encoding="utf-8"), table


def test_the_table_has_a_row_a_class(tmp_path):
    _, path = written(tmp_path, SMALL)
    with open(path, newline="") as file:
        rows = {row.pop("class"): row for row in csv.DictReader(file)}
    assert list(rows) == ["cat", "dog", "bird"]
    assert rows["cat"] == {
        "train": "3",
        "val": "0",
        "train_share": "1.000000",
        "val_share": "0.000000",
        "train_alone": "1",
        "train_mean_classes": "1.666667",
    }
    assert rows["dog"]["val_share"] == "0.500000" and rows["dog"]["train_mean_classes"] == "2.000000"
    assert rows["bird"]["train"] == "0" and rows["bird"]["train_mean_classes"] == ""


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["train", "val"]),
            st.sets(st.sampled_from(["cat", "dog", "bird"])),
            st.integers(1, 20000),
            st.integers(1, 20000),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_counted_is_what_counting_by_hand_gives(rows):
    index = made_index(rows)
    counts, together = class_counts(index), images_together(index)
    for a, name in enumerate(index.classes):
        for split in ("train", "val"):
            assert counts.loc[name, split] == sum(name in labels for s, labels, _, _ in rows if s == split)
        assert counts.loc[name, "train_alone"] == sum(labels == {name} for s, labels, _, _ in rows if s == "train")
        for b, other in enumerate(index.classes):
            assert together[a, b] == sum({name, other} <= labels for _, labels, _, _ in rows)
    sizes = size_map(index)
    assert sum(number for _, _, number in sizes.cells) == len(rows)
    for _, _, height, width in rows:
        cells = [(x, y) for x, y, _ in sizes.cells if _holds(sizes, x, width) and _holds(sizes, y, height)]
        assert len(cells) == 1


def _holds(sizes, cell, pixels):
    least, greatest = (2 ** (sizes.low + at / sizes.steps) for at in (cell, cell + 1))
    return least <= pixels < greatest


def test_pairs_are_ordered_by_their_share_of_either():
    rows = (
        [("train", ["cat", "dog"], 9, 9)] * 8 + [("train", ["cat", "bird"], 9, 9)] * 9 + [("train", ["bird"], 9, 9)] * 9
    )
    pairs = strongest_pairs(("cat", "dog", "bird"), images_together(made_index(rows)), 5)
    assert [(pair.first, pair.second, pair.together) for pair in pairs] == [("cat", "dog", 8), ("cat", "bird", 9)]
    assert (pairs[0].of_either, pairs[0].of_first, pairs[0].of_second) == (8 / 17, 8 / 17, 1)


def test_the_page_shows_what_there_is(tmp_path):
    text, _ = written(tmp_path, SMALL)
    page = Page(text)
    shown = " ".join(page.text)
    assert page.open == [] and {"svg", "details", "table"} <= set(page.tags)
    assert "5 images (3 train, 2 val), 3 classes" in " ".join(shown.split())
    assert "Nothing is odd" in shown and "No image was left out" in shown
    assert "400 × 300 (3)" in shown
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_the_page_needs_no_other_file_and_no_network(tmp_path):
    text, _ = written(tmp_path, SMALL)
    assert {"script", "iframe", "object", "embed"}.isdisjoint(Page(text).tags)
    assert all(address.startswith(("#", "data:")) for address in Page(text).addresses)
    assert "://" not in text and "url(" not in text and "@import" not in text


def test_equal_data_give_equal_bytes(tmp_path):
    pages = []
    for name in "ab":
        (tmp_path / name).mkdir()
        page, table = written(tmp_path / name, SMALL)
        pages.append((page, table.read_bytes()))
    assert pages[0] == pages[1]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a" onload="x', "a & b", "Straße 犬", "{{ 7 * 7 }}"])
def test_names_are_shown_as_they_are(tmp_path, name):
    index = made_index([("train", [name], 9, 9), ("val", ["dog"], 9, 9)], classes=(name, "dog"))
    odd = [Fault(FaultKind.TINY_IMAGE, f"{name}.jpg", f"{name} is small", "id0")]
    text, _ = written(tmp_path, index, odd, odd, title=name)
    page = Page(text)
    assert page.open == [] and "script" not in page.tags
    assert f"{name}.jpg" in page.text and f"'id0': {name} is small" in page.text and page.text.count(name) >= 3


def test_bytes_that_are_no_text_can_be_written(tmp_path):
    odd = [Fault(FaultKind.TINY_IMAGE, b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), "is tiny", "id0")]
    assert "caf\\udce9.jpg" in written(tmp_path, SMALL, odd)[0]


def test_faults_are_grouped_listed_up_to_a_number_and_counted(tmp_path):
    odd = [Fault(FaultKind.TINY_IMAGE, f"tiny{n}.jpg", "is tiny", f"id{n}") for n in range(LISTED_PER_KIND + 7)]
    odd.append(Fault(FaultKind.RARE_CLASS, "data/voc", "0 training images show 'bird'"))
    skipped = [Fault(FaultKind.MISSING_IMAGE, "gone.jpg", "add the image", "gone")] * 2
    page = Page(written(tmp_path, SMALL, odd, skipped)[0])
    shown = " ".join(page.text)
    assert "An image is tiny (207)" in shown and "A class has few training images (1)" in shown
    assert "tiny199.jpg" in page.text and "tiny200.jpg" not in page.text and "... and 7 more" in shown
    assert "An image is missing (2)" in shown and "gone.jpg" in page.text and "add the image" in page.text
    assert "Left out : 1 image." in " ".join(shown.split())


@pytest.mark.parametrize(
    ("images", "classes"),
    [(123_287, COCO_CLASSES), (3000, [f"class {k}" for k in range(254)]), (3000, [f"class {k}" for k in range(1000)])],
    ids=["coco", "254", "1000"],
)
def test_a_large_data_set_takes_seconds_and_a_small_page(tmp_path, images, classes):
    index = large_index(images, classes)
    start = time.process_time()
    text, _ = written(tmp_path, index)
    assert time.process_time() - start < 20  # about 3 for MS-COCO; the machine may be busy
    assert len(text) < 2_000_000
    assert ("without 746 others" in text) == (len(classes) == 1000)


def test_one_class_and_one_image(tmp_path):
    index = made_index([("train", ["cat"], 1, 1)], classes=("cat",))
    assert "1 image (1 train), 1 class." in " ".join(written(tmp_path, index)[0].split())
