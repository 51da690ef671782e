"""The generated data set: its layout, its being the same every time, and its statistics."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from wsss_core.config.class_names import CREATURE_CLASSES, VOC_CLASSES
from wsss_core.config.dataset import Creatures, VocDataset
from wsss_core.datasets.creatures import creatures
from wsss_core.datasets.creatures.creature_drawing import BACKGROUNDS, SMALLEST_VISIBLE
from wsss_core.datasets.creatures.creatures import FIRST_VAL_NUMBER, creature_picture, generate_creatures
from wsss_core.datasets.palette import IGNORED, voc_palette, write_label_map
from wsss_core.errors import UserError

SMALL = Creatures(train_images=12, val_images=6, size=64, seed=3)
FOLDERS = ["Annotations", "ImageSets", "JPEGImages", "SegmentationClass"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    directory = tmp_path_factory.mktemp("creatures")
    generate_creatures(directory, SMALL)
    return directory


@pytest.fixture(scope="module")
def pictures():
    return [creature_picture(number, Creatures()) for number in range(240)]


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def lines(root: Path, name: str) -> list[str]:
    return (root / "ImageSets" / f"{name}.txt").read_text().splitlines()


def objects(root: Path, image_id: str) -> list[ElementTree.Element]:
    return ElementTree.parse(root / "Annotations" / f"{image_id}.xml").findall("object")


def named_classes(root: Path, image_id: str) -> set[str]:
    return {entry.findtext("name") for entry in objects(root, image_id)}


def mask(root: Path, image_id: str) -> np.ndarray:
    return np.asarray(Image.open(root / "SegmentationClass" / f"{image_id}.png"))


def test_nothing_but_the_four_folders_is_left(root):
    assert sorted(path.name for path in root.iterdir()) == FOLDERS


def test_lists_name_every_image_once(root):
    train, val = lines(root, "Segmentation/train"), lines(root, "Segmentation/val")
    assert (len(train), len(val)) == (12, 6)
    assert train[0] == "creature_000000"
    assert not set(train) & set(val)
    assert lines(root, "Segmentation/trainval") == train + val
    for folder, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        assert {path.name for path in (root / folder).iterdir()} == {image_id + suffix for image_id in train + val}
    for split in ("train", "val", "trainval"):
        assert lines(root, f"Main/{split}") == lines(root, f"Segmentation/{split}")


@pytest.mark.parametrize("split", ["train", "val", "trainval"])
def test_class_lists_agree_with_annotations(root, split):
    for class_name in CREATURE_CLASSES:
        rows = [line.split() for line in lines(root, f"Main/{class_name}_{split}")]
        assert [image_id for image_id, _ in rows] == lines(root, f"Main/{split}")
        for image_id, sign in rows:
            assert sign == ("1" if class_name in named_classes(root, image_id) else "-1")


def test_annotations_name_the_classes_of_the_mask(root):
    for image_id in lines(root, "Segmentation/trainval"):
        values = set(np.unique(mask(root, image_id)).tolist()) - {0, IGNORED}
        assert values
        assert named_classes(root, image_id) == {CREATURE_CLASSES[v - 1] for v in values}


def test_annotations_give_size_and_boxes(root):
    for image_id in lines(root, "Segmentation/trainval"):
        annotation = ElementTree.parse(root / "Annotations" / f"{image_id}.xml").getroot()
        assert annotation.findtext("filename") == f"{image_id}.jpg"
        assert [annotation.findtext(f"size/{n}") for n in ("width", "height", "depth")] == [
            "64",
            "64",
            "3",
        ]
        assert annotation.findtext("segmented") == "1"
        boxed = np.zeros((64, 64), dtype=bool)
        for entry in objects(root, image_id):
            left, top, right, bottom = (
                int(entry.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")
            )
            assert 1 <= left <= right <= 64
            assert 1 <= top <= bottom <= 64
            assert entry.findtext("truncated") in ("0", "1")
            assert entry.findtext("difficult") == "0"
            boxed[top - 1 : bottom, left - 1 : right] = True
        labels = mask(root, image_id)
        assert boxed[(labels > 0) & (labels < IGNORED)].all()


def test_masks_have_the_palette_and_images_have_colour(root):
    for image_id in lines(root, "Segmentation/trainval"):
        with Image.open(root / "SegmentationClass" / f"{image_id}.png") as image:
            assert (image.mode, image.size) == ("P", (64, 64))
            assert bytes(image.getpalette()) == voc_palette().tobytes()
        with Image.open(root / "JPEGImages" / f"{image_id}.jpg") as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))


def test_equal_settings_give_equal_bytes_and_replace_what_was_there(root, tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "JPEGImages" / "old.jpg").touch()
    generate_creatures(tmp_path, SMALL)
    assert contents(tmp_path) == contents(root)
    assert sorted(path.name for path in tmp_path.iterdir()) == FOLDERS


def test_another_seed_gives_other_pictures():
    other = SMALL.model_copy(update={"seed": 4})
    kinds = 0
    for number in range(12):
        one, another = (creature_picture(number, settings) for settings in (SMALL, other))
        assert (one.image != another.image).mean() > 0.5  # another scene, even where the same creatures are in it
        kinds += [drawn.class_index for drawn in one.objects] != [drawn.class_index for drawn in another.objects]
    assert kinds > 6


def test_a_longer_list_begins_with_the_images_of_a_shorter_one(root, tmp_path):
    generate_creatures(tmp_path, SMALL.model_copy(update={"train_images": 15, "val_images": 7}))
    for split, count in (("train", 12), ("val", 6)):
        list_name = f"Segmentation/{split}"
        assert lines(tmp_path, list_name)[:count] == lines(root, list_name)
    longer = contents(tmp_path)
    for name, content in contents(root).items():
        if not name.startswith("ImageSets"):
            assert longer[name] == content


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(number, parameters):
        raise RuntimeError("no picture")

    monkeypatch.setattr(creatures, "creature_picture", fail)
    with pytest.raises(RuntimeError, match="no picture"):
        generate_creatures(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_too_many_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="train_images"):
        generate_creatures(tmp_path, Creatures(train_images=FIRST_VAL_NUMBER + 1))


def test_each_creature_is_seen_and_ringed_by_a_border(pictures):
    for picture in pictures:
        for index in {drawn.class_index for drawn in picture.objects}:
            assert np.count_nonzero(picture.labels == index + 1) >= SMALLEST_VISIBLE
        # Wherever the value changes between neighbours, one of the two is the border.
        for first, second in (
            (picture.labels[:, 1:], picture.labels[:, :-1]),
            (picture.labels[1:], picture.labels[:-1]),
        ):
            assert ((first == second) | (first == IGNORED) | (second == IGNORED)).all()


def test_statistics(pictures):
    foreground = np.mean([(p.labels > 0) & (p.labels < IGNORED) for p in pictures])
    border = np.mean([p.labels == IGNORED for p in pictures])
    labels = np.mean([len({drawn.class_index for drawn in p.objects}) for p in pictures])
    counts = np.bincount([len(p.objects) for p in pictures], minlength=4) / len(pictures)
    assert 0.17 < foreground < 0.23
    assert 0.02 < border < 0.04
    assert 1.4 < labels < 1.7
    assert counts[0] == 0
    assert np.allclose(counts[1:], (0.5, 0.35, 0.15), atol=0.08)
    classes = np.bincount([drawn.class_index for p in pictures for drawn in p.objects])
    assert len(classes) == 6
    assert classes.min() > 0.1 * classes.sum()
    own = [p.background == BACKGROUNDS[p.objects[0].class_index % 3] for p in pictures]
    assert 0.6 < np.mean(own) < 0.8


def test_six_successive_pictures_show_all_classes(pictures):
    assert {picture.objects[0].class_index for picture in pictures[6:12]} == set(range(6))


def test_heads_are_there_as_often_as_wanted(pictures):
    without = Creatures(headless=1)
    assert not any(creature_picture(number, without).heads.any() for number in range(12))
    single = [p for p in pictures if len(p.objects) == 1]
    assert 0.1 < np.mean([not p.heads.any() for p in single]) < 0.3
    shares = [p.heads.sum() / np.isin(p.labels, range(1, 7)).sum() for p in single if p.heads.any()]
    assert 0.11 < np.mean(shares) < 0.15
    assert all(np.isin(p.labels[p.heads], range(1, 7)).all() for p in pictures)


@pytest.mark.parametrize("size", [32, 97, 192])
def test_other_sizes_show_the_same(size):
    for number in range(6):
        picture = creature_picture(number, Creatures(size=size))
        assert picture.image.shape == (size, size, 3)
        assert picture.labels.shape == (size, size)
        assert 0.02 < np.isin(picture.labels, range(1, 7)).mean() < 0.7


def test_generated_data_sets_have_their_classes_without_saying():
    assert VocDataset(generate=Creatures()).classes == CREATURE_CLASSES
    assert VocDataset.model_validate({"generate": {}}).classes == CREATURE_CLASSES
    assert VocDataset(root=Path("VOC2012")).classes == VOC_CLASSES
    with pytest.raises(ValueError, match="leave 'classes' out"):
        VocDataset(generate=Creatures(), classes=("cat",))


def test_palette_has_the_known_colours():
    palette = voc_palette()
    assert (palette.dtype, palette.shape) == (np.uint8, (256, 3))
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 15: (192, 128, 128)}
    known |= {20: (0, 64, 128), 255: (224, 224, 192)}
    assert {value: tuple(palette[value].tolist()) for value in known} == known


def test_label_maps_come_back_as_written(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    for name in ("a.png", "b.png"):
        write_label_map(tmp_path / "masks" / name, labels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "a.png")), labels)
    first, second = (path.read_bytes() for path in sorted((tmp_path / "masks").iterdir()))
    assert first == second
    with pytest.raises(ValueError, match="uint8"):
        write_label_map(tmp_path / "c.png", labels.astype(np.int64))
