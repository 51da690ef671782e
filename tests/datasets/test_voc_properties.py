"""Properties of the index of any small VOC tree: what is there comes out as it is, and all faults are reported."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.datasets.voc_tree import VocTree, cut_short, faults_of, indexed, masked
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.voc.voc_layout import usable

TEXT = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="/\\\ufeff")
NAMES = st.text(TEXT, min_size=1, max_size=60).filter(
    lambda name: name == name.strip() and usable(name) and len(name.encode()) < 200
)
IN_XML = st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters=";")
CLASSES = st.lists(
    st.text(IN_XML, min_size=1, max_size=20).filter(lambda name: name == name.strip() and name != "background"),
    min_size=2,
    max_size=5,
    unique=True,
)
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@contextmanager
def new_tree(classes: list[str]) -> Iterator[VocTree]:
    with tempfile.TemporaryDirectory() as folder:
        yield VocTree(Path(folder) / "voc", classes)


@given(st.data(), CLASSES)
def test_what_is_there_comes_out_as_it_is(data, classes):
    names = data.draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    with new_tree(classes) as tree:
        expected = []
        for number, name in enumerate(names):
            split = "train" if number == 0 else "val" if number == 1 else data.draw(st.sampled_from(["train", "val"]))
            size = data.draw(SIZES)
            labels = data.draw(st.lists(st.sampled_from(classes), min_size=1, max_size=4))
            tree.add(name, labels, split, size=size, mask=True)
            expected.append((split, name, size, set(labels)))
        tree.write_lists()
        index, masks = indexed(tree), masked(tree)
        expected.sort(key=lambda image: image[0])  # stable: within a split in the order of the list
        found = [
            (row.split, row.image_id, (row.height, row.width), set(row.labels.split(";")))
            for row in index.table.itertuples()
        ]
        assert found == expected
        assert set(masks) == set(names)
        for name, path in masks.items():
            np.testing.assert_array_equal(read_mask(path), np.array(Image.open(tree.mask(name))))
            assert path.samefile(tree.mask(name))


def plant(tree: VocTree, kind: FaultKind, name: str) -> None:
    """Damage one image of a tree so that it has this fault."""
    if kind == FaultKind.MISSING_IMAGE:
        tree.image(name).unlink()
    elif kind == FaultKind.BROKEN_IMAGE:
        cut_short(tree.image(name))
    elif kind == FaultKind.MISSING_ANNOTATION:
        tree.annotation(name).unlink()
    elif kind == FaultKind.BROKEN_ANNOTATION:
        cut_short(tree.annotation(name))
    elif kind == FaultKind.UNKNOWN_CLASS:
        tree.annotate(name, ["cat", "yeti"])
    elif kind == FaultKind.NO_CLASS:
        tree.annotate(name, [])
    elif kind == FaultKind.REPEATED_ID:
        tree.lists["train" if name in tree.lists["train"] else "val"].append(name)
    elif kind == FaultKind.SHARED_ID:
        tree.lists["val"].append(name)


KINDS = (
    FaultKind.MISSING_IMAGE,
    FaultKind.BROKEN_IMAGE,
    FaultKind.MISSING_ANNOTATION,
    FaultKind.BROKEN_ANNOTATION,
    FaultKind.UNKNOWN_CLASS,
    FaultKind.NO_CLASS,
    FaultKind.REPEATED_ID,
    FaultKind.SHARED_ID,
)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["train", "val"]), st.sampled_from((None, *KINDS))), max_size=8))
def test_what_is_wrong_is_reported_all_of_it_and_left_out(images):
    images = [image for image in {name: (name, *rest) for name, *rest in images}.values()]
    images = [(name, "train" if kind == FaultKind.SHARED_ID else split, kind) for name, split, kind in images]
    with new_tree(["cat", "dog"]) as tree:
        for name, split, _ in images:
            tree.add(name, ["cat", "dog"], split)
        for split in ("train", "val"):  # one that is right, so that there is something to go on with
            tree.add(f"right in {split} beside {len(images)}", ["dog"], split)
        for name, _, kind in images:
            if kind is not None:
                plant(tree, kind, name)
        tree.write_lists()
        planted = {(kind, name) for name, _, kind in images if kind not in (None, FaultKind.NO_CLASS)}
        kept_once = (None, FaultKind.REPEATED_ID, FaultKind.SHARED_ID)
        right = {
            name for name, split, kind in images if kind in kept_once or (kind, split) == (FaultKind.NO_CLASS, "val")
        }

        skip = tree.dataset.model_copy(update={"on_fault": "skip"})
        index = indexed(tree, skip)
        assert {name for name in index.image_ids if not name.startswith("right in ")} == right
        assert len(index) == len(right) + 2, "each once"
        if planted:
            faults = faults_of(lambda: indexed(tree)).faults
            assert {(fault.kind, fault.image_id) for fault in faults} == planted
            assert len(faults) == len(planted)
        else:
            assert indexed(tree).image_ids == index.image_ids
