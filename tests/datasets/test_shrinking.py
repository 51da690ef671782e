"""Tests of ``dataset.long_side``: large images are shrunk once, with their masks, and everything reads the copies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from tests.datasets import coco_tree, voc_tree
from tests.datasets.folder_tree import FolderTree
from wsss_core.config.dataset import CocoDataset, VocDataset
from wsss_core.datasets import image_check
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.images import read_image, read_indexed_image, read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.shrinking import shrink_mask, shrunken_size
from wsss_core.files.resume import forget_finished_work

LONG_SIDE = 64


@given(
    height=st.integers(1, 6000),
    width=st.integers(1, 6000),
    long_side=st.integers(64, 2000),
)
def test_sizes_keep_their_shape_and_are_never_larger(height, width, long_side):
    size = shrunken_size((height, width), long_side)
    if max(height, width) <= long_side:
        assert size == (height, width)
        return
    assert max(size) == long_side and min(size) >= 1
    scale = long_side / max(height, width)
    for small, side in zip(size, (height, width), strict=True):
        assert small == 1 or abs(small - side * scale) <= 0.5


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 48), (50, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_has_the_values_at_the_new_pixels_centres(size, dtype):
    mask = np.random.default_rng(0).integers(0, 255, (97, 150)).astype(dtype)
    small = shrink_mask(mask, size)
    assert small.dtype == dtype and small.shape == size and small.flags.c_contiguous
    by_pillow = Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(small, np.asarray(by_pillow))


def smooth(height, width):
    """A picture without noise, so that JPEG and shrinking change little: from left to right, from top to bottom."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (np.stack([rows, columns, 1 - rows], axis=-1) * 255).astype(np.uint8)


@pytest.fixture
def tree(tmp_path):
    """A folder of images of all kinds; the odd ones are for validation."""
    tree = FolderTree(tmp_path / "mine", long_side=LONG_SIDE)
    folder = tree.root / "images"
    picture = Image.fromarray(smooth(120, 160))
    picture.save(folder / "photo.jpg")
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was turned: upright, it is 160 high
    picture.save(folder / "turned.jpg", exif=exif)
    picture.save(folder / "misnamed.png", format="JPEG")
    picture.quantize(64).save(folder / "palette.png")
    picture.convert("CMYK").save(folder / "cmyk.tif")
    (folder / "a b").mkdir()
    Image.fromarray(np.asarray(picture)[..., 0].astype(np.uint16) * 257).save(folder / "a b/deep {1}.png")
    see_through = picture.convert("RGBA")
    see_through.putalpha(0)
    see_through.save(folder / "clear.png")
    Image.fromarray(smooth(1, 5000)).save(folder / "line.png")
    Image.fromarray(smooth(64, 20)).save(folder / "fits.png")
    Image.fromarray(smooth(65, 20)).save(folder / "hardly.png")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    return tree.labels({name: ["cat"] for name in names}).splits(
        {name: ("train", "val")[number % 2] for number, name in enumerate(names)}
    )


SIZES = {
    "photo": (48, 64),
    "turned": (64, 48),
    "misnamed": (48, 64),
    "palette": (48, 64),
    "cmyk": (48, 64),
    "a b/deep {1}": (48, 64),
    "clear": (48, 64),
    "line": (1, 64),
    "fits": (64, 20),
    "hardly": (64, 20),
}


@pytest.mark.parametrize("threads", [1, 2])
def test_every_kind_of_image_is_shrunk_and_read_through_the_index(tree, tmp_path, threads, monkeypatch):
    monkeypatch.setattr("wsss_core.jobs.image_pool.SLOW_IMAGES", 1)
    made = tmp_path / "made"
    index = tree.index(made, threads)
    assert dict(zip(index.image_ids, index.sizes, strict=True)) == SIZES
    files = dict(zip(index.image_ids, index.image_paths, strict=True))
    pixels = {image_id: read_indexed_image(files[image_id], size) for image_id, size in SIZES.items()}
    for image_id, most in {"photo": 4, "misnamed": 4, "palette": 10, "cmyk": 4}.items():
        assert np.abs(pixels[image_id].astype(int) - smooth(48, 64)).mean() < most, image_id
    assert np.abs(pixels["turned"].astype(int) - np.rot90(smooth(48, 64), -1)).mean() < 4
    assert np.abs(pixels["a b/deep {1}"].astype(int) - smooth(48, 64)[..., :1]).mean() < 4
    assert (pixels["clear"] == 255).all()
    copies = {path.relative_to(made / "images").as_posix() for path in (made / "images").rglob("*.*")}
    jpeg = {"photo.jpg", "turned.jpg", "misnamed.jpg"}
    assert copies == jpeg | {f"{image_id}.png" for image_id in SIZES if f"{image_id}.jpg" not in jpeg} - {"fits.png"}
    assert files["fits"] == tree.root / "images/fits.png", "small images are used where they are"
    assert {Image.open(made / "images" / name).format for name in jpeg} == {"JPEG"}
    original = index.original()
    assert dict(zip(original.image_ids, original.sizes, strict=True))["line"] == (1, 5000)
    assert all(path.is_relative_to(tree.root) for path in original.image_paths)


def test_shards_and_splits_know_the_originals(tree, tmp_path):
    index = tree.index(tmp_path / "made")
    val = index.split("val").shard(0, 2)
    assert val.original().image_ids == val.image_ids and val.original().sizes != val.sizes


def test_without_the_setting_nothing_is_new(tree, tmp_path):
    tree.settings.clear()
    index = tree.index(tmp_path / "made")
    assert index.original() is index and max(map(max, index.sizes)) == 5000
    assert (tmp_path / "made/index.csv").read_text().startswith("image_id,split,image,height,width,labels\n")
    assert not (tmp_path / "made/images").exists() and not (tmp_path / "made/.partial").exists()


def test_a_size_said_of_an_image_is_compared_with_its_own(tmp_path):
    tree = coco_tree.small_coco(tmp_path / "coco")
    tree.add(50, "train2014", [("cat", coco_tree.square(4, 4, 20))], (90, 128))
    coco_tree.indexed(tree.write(), tree.dataset.model_copy(update={"long_side": LONG_SIDE}))
    assert "its annotation says" not in (tmp_path / "made/report.html").read_text()


def run_until_killed(tree, made, last):
    """Index in another process, which is killed when it looks at the image ``last``."""
    code = f"""
import os, signal
from pathlib import Path
from tests.datasets.folder_tree import FolderTree
from wsss_core.datasets import image_check
read = image_check.read_image
image_check.read_image = lambda path: os.kill(os.getpid(), signal.SIGKILL) if path.stem == {last!r} else read(path)
tree = FolderTree.__new__(FolderTree)
tree.root, tree.settings = Path({str(tree.root)!r}), {tree.settings!r}
tree.index(Path({str(made)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL


@pytest.fixture
def read(monkeypatch):
    """Names of the images that are decoded, in this process."""
    names = []

    def noted(path):
        names.append(Path(path).stem)
        return read_image(path)

    monkeypatch.setattr(image_check, "read_image", noted)
    return names


def test_a_killed_run_goes_on_from_where_it_was(tree, tmp_path, read):
    run_until_killed(tree, tmp_path / "made", "palette")
    assert not (tmp_path / "made/images").exists() and not (tmp_path / "made/index.csv").exists()
    index = tree.index(tmp_path / "made")
    assert "palette" in read and 0 < len(read) < len(SIZES)
    assert dict(zip(index.image_ids, index.sizes, strict=True)) == SIZES
    undisturbed = tree.index(tmp_path / "other")
    for path, other in zip(index.image_paths, undisturbed.image_paths, strict=True):
        assert path.read_bytes() == other.read_bytes()


def test_an_image_that_has_changed_since_is_shrunk_again(tree, tmp_path, read):
    run_until_killed(tree, tmp_path / "made", "palette")
    Image.fromarray(smooth(160, 160)).save(tree.root / "images/cmyk.tif")
    index = tree.index(tmp_path / "made")
    assert {"cmyk", "palette"} <= set(read)
    assert dict(zip(index.image_ids, index.sizes, strict=True)) == {**SIZES, "cmyk": (64, 64)}


def test_after_a_fault_only_the_image_at_fault_is_looked_at_again(tree, tmp_path, read):
    path = tree.root / "images/photo.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (fault,) = tree.faults(tmp_path / "made").faults
    assert fault.kind == FaultKind.BROKEN_IMAGE
    assert not (tmp_path / "made/images").exists()
    path.write_bytes(whole)
    read.clear()
    assert tree.index(tmp_path / "made").image_ids and read == ["photo"]


def test_what_snakemake_deletes_after_a_kill_is_put_back_until_a_run_has_succeeded(tree, tmp_path, read):
    made = tmp_path / "dataset/folder-1"
    made.parent.mkdir()
    before = tree.index(made)
    for path in before.image_paths:
        if path.is_relative_to(made):
            path.unlink()
    read.clear()
    index = tree.index(made)
    assert read == [] and all(path.exists() for path in index.image_paths)
    forget_finished_work(tmp_path)
    assert not (made / ".partial").exists() and all(path.exists() for path in index.image_paths)


def test_a_file_system_without_hard_links_will_do(tree, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refused)
    index = tree.index(tmp_path / "made")
    assert all(path.exists() for path in index.image_paths) and not (tmp_path / "made/.partial").exists()


def test_an_image_left_out_has_no_copy(tree, tmp_path):
    rows = pandas.read_csv(tree.root / "labels.csv")
    rows[rows["image"] != "photo.jpg"].to_csv(tree.root / "labels.csv", index=False)
    tree.settings["on_fault"] = "skip"
    index = tree.index(tmp_path / "made")
    assert "photo" not in index.image_ids and not (tmp_path / "made/images/photo.jpg").exists()


def test_a_folder_named_as_a_shrunken_image_is_a_fault(tmp_path):
    tree = FolderTree(tmp_path / "mine", long_side=LONG_SIDE)
    tree.images(["a.jpeg", "a.jpg/b.jpg", "c.jpg"])
    tree.labels({"a.jpeg": ["cat"], "a.jpg/b.jpg": ["cat"], "c.jpg": ["cat"]})
    (fault,) = tree.faults(tmp_path / "made").faults
    assert fault.kind == FaultKind.IMAGE_ID and "shrunken image of 'a'" in fault.detail


def test_a_thin_image_is_odd_at_the_size_that_networks_see(tree, tmp_path):
    tree.index(tmp_path / "made")
    page = (tmp_path / "made/dataset_report.html").read_text()
    assert "is 1 high and 64 wide" in page and "is 64 high and 20 wide" in page


def with_masks(tree):
    """Masks of the images' own sizes: a class on the left, pixels that do not count on the right."""
    index = tree.index(tree.root.parent / "sizes").original()
    for image_id, size in zip(index.image_ids, index.sizes, strict=True):
        mask = np.zeros(size, np.uint8)
        mask[:, : size[1] // 2], mask[:, -size[1] // 4 :] = 1, 255
        tree.mask(f"{image_id}.png", mask)


def test_masks_are_shrunk_with_their_images(tree, tmp_path):
    with_masks(tree)
    masks = tree.masks_table(tmp_path / "made")
    assert set(masks) == set(SIZES)
    for image_id, (height, width) in SIZES.items():
        mask = read_mask(masks[image_id])
        assert mask.shape == (height, width)
        assert (mask[:, : width // 2] == 1).all() and (mask[:, -width // 4 :] == 255).all()
        assert set(np.unique(mask)) == {0, 1, 255}
    assert masks["fits"] == tree.root / "masks/fits.png", "where nothing is shrunk, the mask is used where it is"


def test_a_mask_drawn_on_the_smaller_image_is_taken_as_it_is(tree, tmp_path):
    with_masks(tree)
    drawn = np.zeros(SIZES["photo"], np.uint8)
    drawn[5:9, 7:40], drawn[:2] = 1, 255
    tree.mask("photo.png", drawn)
    masks = tree.masks_table(tmp_path / "made")
    assert masks["photo"].parent == tmp_path / "made/drawn"
    np.testing.assert_array_equal(read_mask(masks["photo"]), drawn)


def test_a_mask_drawn_on_the_smaller_image_is_no_fault_next_to_others(tree, tmp_path):
    with_masks(tree)
    tree.mask("photo.png", np.zeros(SIZES["photo"], np.uint8))
    tree.mask("turned.png", np.zeros((9, 9), np.uint8))
    (tree.root / "images/misnamed.png").write_bytes(b"no image")
    faults = {fault.image_id: fault.kind for fault in tree.faults(tmp_path / "made").faults}
    assert faults["turned"] == FaultKind.MASK_SIZE and "misnamed" in faults and "photo" not in faults


def test_a_mask_of_a_third_size_is_a_fault(tree, tmp_path):
    with_masks(tree)
    tree.mask("photo.png", np.zeros((47, 64), np.uint8))
    expected = r"47 high and 64 wide; its image, upright, is 120 high and 160 wide, and 48 high and 64 wide when shrunk"
    with pytest.raises(Exception, match=expected):
        tree.masks_table(tmp_path / "made")
    assert not (tmp_path / "made/masks.csv").exists()


def test_masks_that_are_drawn_are_drawn_at_the_original_size_and_shrunk(tmp_path):
    tree = coco_tree.small_coco(tmp_path / "coco")
    large = tree.add(50, "train2014", [("cat", coco_tree.square(32, 64, 32))], (96, 128))
    tree.write()
    whole = coco_tree.masked(tree)
    small = coco_tree.masked(tree, tree.dataset.model_copy(update={"long_side": LONG_SIDE}))
    assert whole[large].shape == (96, 128) and small[large].shape == (48, 64)
    np.testing.assert_array_equal(small[large], shrink_mask(whole[large], (48, 64)))
    assert all(np.array_equal(whole[image_id], small[image_id]) for image_id in whole if image_id != large)


@pytest.mark.parametrize("crowd", [0, 1])
def test_objects_outlined_on_the_smaller_copies_are_drawn_at_their_size(tmp_path, crowd):
    tree = coco_tree.small_coco(tmp_path / "coco")
    large = tree.add(50, "train2014", [("dog", coco_tree.square(0, 0, 9))], (96, 128))
    region = np.zeros((48, 64), bool)
    region[16:32, 20:40] = True
    tree.annotate(50, "train2014", "cat", coco_tree.encoded(region), iscrowd=crowd)
    listed = next(image for image in tree.files["train2014"]["images"] if image["id"] == 50)
    listed.update(height=48, width=64)
    tree.write()
    small = coco_tree.masked(tree, tree.dataset.model_copy(update={"long_side": LONG_SIDE}))[large]
    classes = list(tree.classes)
    expected = np.zeros((48, 64), np.uint8)
    expected[:9, :9] = classes.index("dog") + 1
    expected[region] = 255 if crowd else classes.index("cat") + 1
    np.testing.assert_array_equal(small, expected)


def test_outlines_on_a_third_size_are_a_fault(tmp_path):
    tree = coco_tree.small_coco(tmp_path / "coco")
    tree.add(50, "train2014", [("cat", coco_tree.square(32, 24, 10))], (96, 128))
    next(image for image in tree.files["train2014"]["images"] if image["id"] == 50).update(height=47, width=64)
    tree.write()
    with pytest.raises(Exception, match=r"is 47 high and 64 wide; its image, upright, is 96 high"):
        coco_tree.masked(tree, tree.dataset.model_copy(update={"long_side": LONG_SIDE}))


def test_voc_is_shrunk_too(tmp_path):
    tree = voc_tree.VocTree(tmp_path / "voc", ["cat"])
    tree.add("a", ["cat"], "train", size=(80, 100), mask=True)
    tree.add("b", ["cat"], "val", size=(20, 30), mask=True)
    tree.write_lists()
    dataset = tree.dataset.model_copy(update={"long_side": LONG_SIDE})
    masks = voc_tree.masked(tree, dataset)
    index = read_index(tmp_path / "made/index.csv", tmp_path / "made/classes.json")
    assert index.sizes == [(51, 64), (20, 30)]
    assert [read_mask(masks[image_id]).shape for image_id in ("a", "b")] == index.sizes


def test_the_voc_server_wants_full_size():
    with pytest.raises(ValidationError, match=r"'long_side'.*'splits.test' at full size; leave one"):
        VocDataset(root="voc", splits={"test": "test"}, long_side=500)
    with pytest.raises(ValidationError):
        CocoDataset(format="coco", root="coco", long_side=63)
