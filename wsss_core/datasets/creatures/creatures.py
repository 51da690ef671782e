"""Writes the generated data set to disk, in the layout of the PASCAL VOC devkit (docs/creatures.md)."""

import errno
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from wsss_core.config.class_names import CREATURE_CLASSES
from wsss_core.config.dataset import Creatures
from wsss_core.datasets.creatures.creature_drawing import DrawnObject, Picture, draw_picture
from wsss_core.datasets.palette import label_image
from wsss_core.datasets.voc.voc_layout import ANNOTATIONS, IMAGES, MASKS
from wsss_core.errors import UserError
from wsss_core.files.atomic import scratch_folder
from wsss_core.jobs.progress import progress

FIRST_VAL_NUMBER = 500_000
"""Number in the id of the first validation image; training images count from 0."""
JPEG_QUALITY = 95


def generate_creatures(directory: Path, parameters: Creatures) -> None:
    """Draw the data set and write it into ``directory``.

    The folders ``JPEGImages``, ``Annotations``, ``SegmentationClass`` and ``ImageSets`` are written under temporary
    names and renamed when all are complete, ``ImageSets`` last; existing folders are replaced. Equal settings give
    equal bytes, and a longer list of images begins with the images of a shorter one.

    Args:
        directory: where the folders go; made if missing.
        parameters: how many images, of which size, from which seed.

    Raises:
        UserError: too many training images for the range of numbers.
    """
    if parameters.train_images > FIRST_VAL_NUMBER:
        raise UserError(
            f"dataset.generate.train_images is {parameters.train_images}; there can be {FIRST_VAL_NUMBER} at most"
        )
    numbers = {
        "train": range(parameters.train_images),
        "val": range(FIRST_VAL_NUMBER, FIRST_VAL_NUMBER + parameters.val_images),
    }
    directory = Path(directory)
    with scratch_folder(directory) as scratch:
        for folder in (IMAGES, ANNOTATIONS, MASKS):
            (scratch / folder).mkdir(parents=True)
        classes: dict[str, dict[str, set[int]]] = {"train": {}, "val": {}}
        total = sum(map(len, numbers.values()))
        everything = ((split, number) for split in numbers for number in numbers[split])
        for split, number in progress(everything, "Drawing creatures", total):
            picture = creature_picture(number, parameters)
            _write_picture(scratch, _image_id(number), picture)
            classes[split][_image_id(number)] = {drawn.class_index for drawn in picture.objects}
        _write_lists(scratch / "ImageSets", classes["train"], classes["val"])
        for folder in (IMAGES, ANNOTATIONS, MASKS, "ImageSets"):
            _replace_folder(scratch / folder, directory / folder)


def creature_picture(number: int, parameters: Creatures) -> Picture:
    """The picture with a number: training images count from 0, others from ``FIRST_VAL_NUMBER``.

    Args:
        number: the number in the image's id.
        parameters: size, seed and share of headless creatures; the counts have no influence.
    """
    # The front creatures of six successive pictures show all six classes, in random order, so that even a short list
    # of images has every class.
    block, place = divmod(number, len(CREATURE_CLASSES))
    order = np.random.default_rng([parameters.seed, block, 1]).permutation(len(CREATURE_CLASSES))
    generator = np.random.default_rng([parameters.seed, number, 0])
    return draw_picture(generator, parameters.size, parameters.headless, int(order[place]))


def _image_id(number: int) -> str:
    return f"creature_{number:06d}"


def _write_picture(folder: Path, image_id: str, picture: Picture) -> None:
    """Write an image, its annotation and its label map."""
    Image.fromarray(picture.image).save(folder / IMAGES / f"{image_id}.jpg", format="JPEG", quality=JPEG_QUALITY)
    label_image(picture.labels).save(folder / MASKS / f"{image_id}.png", format="PNG")
    annotation = _annotation(image_id, picture.image.shape, picture.objects)
    (folder / ANNOTATIONS / f"{image_id}.xml").write_bytes(annotation)


def _annotation(image_id: str, shape: tuple[int, ...], objects: Sequence[DrawnObject]) -> bytes:
    """The annotation of an image as XML; boxes count pixels from 1, as PASCAL VOC's do."""
    root = ElementTree.Element("annotation")

    def add(parent: ElementTree.Element, name: str, text: object) -> None:
        ElementTree.SubElement(parent, name).text = str(text)

    add(root, "folder", "creatures")
    add(root, "filename", f"{image_id}.jpg")
    size = ElementTree.SubElement(root, "size")
    for name, value in zip(("height", "width", "depth"), shape, strict=True):
        add(size, name, value)
    add(root, "segmented", 1)
    for drawn in objects:
        entry = ElementTree.SubElement(root, "object")
        add(entry, "name", CREATURE_CLASSES[drawn.class_index])
        add(entry, "pose", "Unspecified")
        add(entry, "truncated", int(drawn.truncated))
        add(entry, "difficult", 0)
        box = ElementTree.SubElement(entry, "bndbox")
        add(box, "xmin", drawn.left + 1)
        add(box, "ymin", drawn.top + 1)
        add(box, "xmax", drawn.right + 1)
        add(box, "ymax", drawn.bottom + 1)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _write_lists(folder: Path, train: dict[str, set[int]], val: dict[str, set[int]]) -> None:
    """Write the lists of images, and the lists of images by class.

    Args:
        folder: ``ImageSets`` (under its temporary name).
        train: image id to the indices of the classes in the training image.
        val: the same for the validation images.
    """
    for name, images in {"train": train, "val": val, "trainval": train | val}.items():
        for use in ("Segmentation", "Main"):
            _write_lines(folder / use / f"{name}.txt", images)
        for index, class_name in enumerate(CREATURE_CLASSES):
            signs = [f"{image_id} {1 if index in shown else -1:2d}" for image_id, shown in images.items()]
            _write_lines(folder / "Main" / f"{class_name}_{name}.txt", signs)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _replace_folder(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; an existing folder is first moved next to ``new``."""
    while new.exists():
        with suppress(FileNotFoundError):
            os.replace(path, new.with_name(f"{new.name}-{secrets.token_hex(6)}"))
        try:
            os.replace(new, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another job has just put its own there
                raise
