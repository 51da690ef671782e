"""From label maps to a folder for a tool, corrected by a script as a person would, and back."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from wsss_core.annotations.formats import FORMATS
from wsss_core.correction.choose import Choice, choose
from wsss_core.correction.export_labels import export_labels
from wsss_core.correction.import_labels import import_labels, in_words
from wsss_core.correction.made_labels import artifact_of
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.plan.artifacts import Artifact

IDS = ("one", "in a folder/two", "three")
SIZE = (20, 30)


@pytest.fixture
def made(tmp_path):
    """An artifact with label maps of three training images, and the index; ``three`` is turned by its EXIF block."""
    artifact = Artifact("pseudo_labels", "cam-irn", {}, {}, tmp_path / "results/mine/pseudo_labels")
    labels = artifact.directory / "labels"
    paths = []
    for number, image_id in enumerate(IDS):
        path = tmp_path / "raw" / f"{image_id}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        exif = Image.Exif()
        if image_id == "three":
            exif[0x0112], pixels = 6, np.rot90(pixels)
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif)
        paths.append(str(path))
        mask = np.zeros(SIZE, np.uint8)
        mask[3:12, 4 + number : 20] = 1 + number % 2
        mask[0, :5] = 255
        write_label_map(labels / f"{image_id}.png", mask)
    write_label_manifest({i: labels / f"{i}.png" for i in IDS}, labels / "000-of-001.csv")
    columns = {
        "image_id": [*IDS, "other"],
        "split": ["train"] * 3 + ["val"],
        "image": [*paths, "none.jpg"],
        "height": [SIZE[0]] * 4,
        "width": [SIZE[1]] * 4,
        "labels": ["cat", "dog", "cat", "dog"],
    }
    return artifact, DatasetIndex(("cat", "dog"), columns)


def export(made, folder, name="coco", shapes=None, tolerance=0.0, chosen=IDS):
    artifact, index = made
    shapes = shapes or FORMATS[name].shapes[0]
    train = index.split("train")
    export_labels(artifact, "cam", train, chosen, {"one": 0.5}, name, shapes, tolerance, None, folder)
    return folder


def draw_over(folder, name):
    """Change the mask of ``one`` in an exported file."""
    if name == "coco":
        file = folder / "annotations.json"
        document = json.loads(file.read_text())
        number = next(image["id"] for image in document["images"] if image["file_name"] == "one.jpg")
        category = next(c["id"] for c in document["categories"] if c["name"] == "dog")
        square = [2, 2, 9, 2, 9, 9, 2, 9]
        document["annotations"].append(
            {"id": 99, "image_id": number, "category_id": category, "segmentation": [square]}
        )
        file.write_text(json.dumps(document))
    elif name == "cvat":
        tree = ElementTree.parse(folder / "annotations.xml")
        image = next(image for image in tree.iter("image") if image.get("name") == "one.jpg")
        points = "2.00,2.00;9.00,2.00;9.00,9.00;2.00,9.00"
        ElementTree.SubElement(image, "polygon", {"label": "dog", "points": points, "z_order": "9"})
        tree.write(folder / "annotations.xml")
    elif name == "labelme":
        file = folder / "images/one.json"
        document = json.loads(file.read_text())
        square = [[2, 2], [9, 2], [9, 9], [2, 9]]
        document["shapes"].append({"label": "dog", "points": square, "shape_type": "polygon", "flags": {}})
        file.write_text(json.dumps(document))
    elif name == "label-studio":
        file = folder / "tasks.json"
        tasks = json.loads(file.read_text())
        task = next(task for task in tasks if task["data"]["image_id"] == "one")
        value = {"x": 200 / 30, "y": 10, "width": 700 / 30, "height": 35, "rectanglelabels": ["dog"], "rotation": 0}
        size = {"original_height": 20, "original_width": 30}
        result = [*task["predictions"][0]["result"], {"type": "rectanglelabels", "value": value, **size}]
        task["annotations"] = [{"result": result, "was_cancelled": False}]
        file.write_text(json.dumps(tasks))
    else:
        file = folder / "labels/one.png"
        mask = read_mask(file)
        mask[2:9, 2:9] = 2
        write_label_map(file, mask)


@pytest.mark.parametrize("name", FORMATS)
def test_only_what_was_changed_comes_back(made, tmp_path, name):
    artifact, index = made
    folder = export(made, tmp_path / "out", name)
    before = read_mask(artifact.directory / "labels/one.png")
    with pytest.raises(UserError, match="there is no mask to import: 3 unchanged since the export"):
        import_labels(folder, index, "train", tmp_path / "corrected", None, False)
    assert not (tmp_path / "corrected").exists()
    draw_over(folder, name)
    found = import_labels(folder, index, "train", tmp_path / "corrected", None, False)
    assert found.masks == ["one"] and sorted(found.unchanged) == sorted(IDS[1:])
    assert found.new_classes == {"dog": ["one"]}
    before[2:9, 2:9] = 2
    np.testing.assert_array_equal(read_mask(tmp_path / "corrected/one.png"), before)
    assert [path.name for path in (tmp_path / "corrected").rglob("*.png")] == ["one.png"]
    found = import_labels(folder, index, "train", tmp_path / "corrected", None, True)
    assert sorted(found.masks) == sorted(IDS)
    two = read_mask(tmp_path / "corrected/in a folder/two.png")
    np.testing.assert_array_equal(two, read_mask(artifact.directory / "labels/in a folder/two.png"))


def test_images_are_copied_upright_and_the_export_says_what_it_holds(made, tmp_path):
    folder = export(made, tmp_path / "out", chosen=("three", "one"))
    images = sorted(path.relative_to(folder / "images").as_posix() for path in (folder / "images").rglob("*.*"))
    assert images == ["one.jpg", "three.png"]  # a turned one is saved as it is seen
    with Image.open(folder / "images/three.png") as image:
        assert image.size == (30, 20)
    record = json.loads((folder / "exported.json").read_text())
    assert list(record["images"]) == ["three", "one"] and record["images"]["one"]["worth"] == 0.5


def test_the_same_export_gives_the_same_bytes(made, tmp_path):
    for name in FORMATS:
        one, other = (export(made, tmp_path / part / name / "out", name) for part in ("a", "b"))
        for file in one.rglob("*.*"):
            if file.is_file():
                assert file.read_bytes() == (other / file.relative_to(one)).read_bytes()


def test_label_studios_address_of_local_files_is_quoted(made, tmp_path):
    folder = export(made, tmp_path / "my out/a&b #1", "label-studio")
    tasks = json.loads((folder / "tasks.json").read_text())
    for task in tasks:
        address = urlsplit(task["data"]["image"])
        (place,) = parse_qs(address.query)["d"]
        assert not address.fragment and (tmp_path / "my out" / place).is_file()


def test_every_fault_of_every_mask_is_reported(made, tmp_path):
    folder = export(made, tmp_path / "out", "png")
    write_label_map(folder / "labels/one.png", np.full(SIZE, 77, np.uint8))
    Image.new("RGB", SIZE[::-1], (1, 2, 3)).save(folder / "labels/three.png")
    write_label_map(folder / "labels/nobody.png", np.ones(SIZE, np.uint8))
    write_label_map(folder / "labels/a.PNG", np.ones(SIZE, np.uint8))
    write_label_map(folder / "labels/a.png", np.ones(SIZE, np.uint8))
    with pytest.raises(UserError) as reported:
        import_labels(folder, made[1], "train", tmp_path / "corrected", None, False)
    message = str(reported.value)
    for words in (
        "one.png: has the values 77",
        "three.png: has the colour (1, 2",
        "'nobody' is no image",
        "the same id",
    ):
        assert words in message
    assert not (tmp_path / "corrected").exists()


def test_an_unknown_experiment_names_the_option_that_has_it(made):
    plan = SimpleNamespace(experiments={"cam": {"pseudo_labels": made[0]}, "advcam": {}})
    with pytest.raises(UserError, match=r"^--with: no such experiment: 'advcamm'; did you mean 'advcam'"):
        artifact_of(plan, "advcamm", "pseudo_labels", "--with")
    with pytest.raises(UserError, match=r"^--with: 'advcam' has no stage"):
        artifact_of(plan, "advcam", "pseudo_labels", "--with")


def test_a_folder_that_is_there_is_left_alone(made, tmp_path):
    folder = export(made, tmp_path / "out")
    with pytest.raises(UserError, match="out is there already; name a new folder"):
        export(made, folder)


def test_an_export_that_fails_leaves_nothing(made, tmp_path):
    (tmp_path / "raw/three.jpg").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"three.jpg: is text that begins with"):
        export(made, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".writing*"))


def test_an_export_that_is_killed_leaves_no_half_of_a_folder(made, tmp_path):
    """A kill when all is written but the folder has no name yet."""
    child = os.fork()
    if child == 0:
        import wsss_core.correction.export_labels as module

        module.os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        export(made, tmp_path / "out")
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert not (tmp_path / "out").exists()
    export(made, tmp_path / "out")


def test_all_faults_are_reported_and_nothing_is_written(made, tmp_path):
    folder = export(made, tmp_path / "out")
    file = folder / "annotations.json"
    document = json.loads(file.read_text())
    document["images"][0]["file_name"] = "nobody.jpg"
    document["categories"][0]["name"] = "catt"
    document["images"][1]["height"] = 21
    for annotation in document["annotations"]:
        if annotation["image_id"] == 2:
            annotation["segmentation"] = [[0, 0, 4, 0, 4, 4]]
    file.write_text(json.dumps(document))
    with pytest.raises(UserError) as reported:
        import_labels(folder, made[1], "train", tmp_path / "corrected", None, False)
    message = str(reported.value)
    assert "'nobody.jpg' is no image" in message and "did you mean 'cat'" in message
    assert "21 high and 30 wide" in message and message.endswith("Nothing was written.")
    assert not (tmp_path / "corrected").exists()


def test_images_without_region_and_of_another_split_are_left_out(made, tmp_path):
    sizes = {"height": 20, "width": 30}
    names = ("one.jpg", "three.jpg", "other.jpg")
    document = {
        "images": [{"id": number, "file_name": name, **sizes} for number, name in enumerate(names)],
        "annotations": [
            {"id": 1, "image_id": n, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]]} for n in (0, 2)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "it.json").write_text(json.dumps(document))
    found = import_labels(tmp_path / "it.json", made[1], "train", tmp_path / "corrected", None, False)
    assert (found.masks, found.empty, found.others) == (["one"], ["three"], ["other"])
    assert in_words(found).startswith("1 without any region") and "1 of another split" in in_words(found)
    assert import_labels(tmp_path / "it.json", made[1], "val", tmp_path / "val", None, False).masks == ["other"]


@pytest.mark.parametrize("name", FORMATS)
def test_an_archive_of_the_exports_folder_says_what_was_changed(made, tmp_path, name):
    folder = export(made, tmp_path / "out", name)
    draw_over(folder, name)
    archive = shutil.make_archive(str(tmp_path / "elsewhere/it"), "zip", tmp_path, "out")
    found = import_labels(Path(archive), made[1], "train", tmp_path / "corrected", None, False)
    assert found.masks == ["one"] and sorted(found.unchanged) == sorted(IDS[1:])


def test_images_may_be_called_as_files_of_the_export(made, tmp_path):
    artifact, index = made
    source = artifact.directory / "labels"
    columns = {name: list(column) for name, column in index.columns.items()}
    ids = ("exported", "labels", "values")
    columns["image_id"] = [*ids, "other"]
    for old, new in zip(IDS, ids, strict=True):
        os.replace(source / f"{old}.png", source / f"{new}.png")
    write_label_manifest({i: source / f"{i}.png" for i in ids}, source / "000-of-001.csv")
    made = artifact, DatasetIndex(index.classes, columns)
    for name in FORMATS:
        folder = export(made, tmp_path / name, name, chosen=ids)
        found = import_labels(folder, made[1], "train", tmp_path / "corrected", None, True)
        assert sorted(found.masks) == sorted(ids)


def take_all_away(folder, name, image_id="one"):
    """Remove all regions of an image from an exported file."""
    if name == "coco":
        file = folder / "annotations.json"
        document = json.loads(file.read_text())
        number = next(image["id"] for image in document["images"] if image["file_name"] == f"{image_id}.jpg")
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != number]
        file.write_text(json.dumps(document))
    elif name == "cvat":
        tree = ElementTree.parse(folder / "annotations.xml")
        image = next(image for image in tree.iter("image") if image.get("name") == f"{image_id}.jpg")
        for shape in list(image):
            image.remove(shape)
        tree.write(folder / "annotations.xml")
    elif name == "labelme":
        file = folder / f"images/{image_id}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"shapes": []}))
    elif name == "label-studio":
        file = folder / "tasks.json"
        tasks = json.loads(file.read_text())
        next(task for task in tasks if task["data"]["image_id"] == image_id)["annotations"] = [{"result": []}]
        file.write_text(json.dumps(tasks))
    else:
        write_label_map(folder / f"labels/{image_id}.png", np.zeros(SIZE, np.uint8))


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_whose_regions_were_all_removed_is_corrected(made, tmp_path, name):
    folder = export(made, tmp_path / "out", name)
    take_all_away(folder, name)
    found = import_labels(folder, made[1], "train", tmp_path / "corrected", None, False)
    assert found.masks == found.background == ["one"] and sorted(found.unchanged) == sorted(IDS[1:])
    np.testing.assert_array_equal(read_mask(tmp_path / "corrected/one.png"), np.zeros(SIZE, np.uint8))


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_that_was_exported_without_regions_is_taken_when_asked_for(made, tmp_path, name):
    artifact, index = made
    write_label_map(artifact.directory / "labels/one.png", np.zeros(SIZE, np.uint8))
    folder = export(made, tmp_path / "out", name)
    with pytest.raises(UserError, match=r"one"):
        import_labels(folder, index, "train", tmp_path / "corrected", None, False)
    found = import_labels(folder, index, "train", tmp_path / "corrected", None, True)
    assert sorted(found.masks) == sorted(IDS) and found.background == ["one"]
    assert not read_mask(tmp_path / "corrected/one.png").any()


def test_a_task_that_nobody_has_annotated_is_no_correction(made, tmp_path):
    """Label Studio exports tasks without their predictions."""
    folder = export(made, tmp_path / "out", "label-studio")
    draw_over(folder, "label-studio")
    tasks = json.loads((folder / "tasks.json").read_text())
    for task in tasks:
        task["predictions"] = []
    (folder / "tasks.json").write_text(json.dumps(tasks[:-1]))
    for unchanged in (False, True):
        found = import_labels(folder, made[1], "train", tmp_path / "corrected", None, unchanged)
        assert (found.masks, found.empty, found.missing) == (["one"], ["in a folder/two"], ["three"])
    reported = in_words(found)
    assert "1 without any region" in reported and reported.endswith("1 missing images of the export: three")


def test_the_masks_of_photographs_that_were_shrunk_may_have_either_size(made, tmp_path):
    _, index = made
    columns = {name: list(column) for name, column in index.columns.items()}
    columns |= {"original_image": columns["image"], "original_height": [40] * 4, "original_width": [60] * 4}
    shrunk = DatasetIndex(index.classes, columns)
    mask = np.ones((40, 60), np.uint8)
    write_label_map(tmp_path / "masks/one.png", mask)
    import_labels(tmp_path / "masks", shrunk, "train", tmp_path / "corrected", None, False)
    np.testing.assert_array_equal(read_mask(tmp_path / "corrected/one.png"), mask)


@pytest.mark.parametrize(
    ("choice", "others", "said"),
    [
        (Choice("disagreement", None, None), False, "give other experiments"),
        (Choice("confidence", None, None), True, "--with: is for"),
        (Choice(None, None, 3), False, "--worst: say by what"),
        (Choice("confidence", None, 0), False, "--worst: has to be 1 or more"),
        (Choice("disagreement", None, 1), True, "exactly the same labels"),
    ],
)
def test_choices_without_effect_are_reported(made, choice, others, said):
    artifact, index = made
    with pytest.raises(UserError, match=said):
        choose(choice, artifact, [artifact] if others else [], index.split("train"), "cpu")


def test_a_list_keeps_its_order_and_strangers_are_reported(made, tmp_path):
    artifact, index = made
    listing = tmp_path / "list.txt"
    listing.write_text("three\none\n")
    assert choose(Choice(None, listing, None), artifact, [], index.split("train"), "cpu") == (["three", "one"], {})
    listing.write_text("three\nother\n")
    with pytest.raises(UserError, match=r"'other' has no label map .* \(1 of 2 like it"):
        choose(Choice(None, listing, None), artifact, [], index.split("train"), "cpu")


@pytest.mark.parametrize("command", ["labels export", "labels import", "pack", "unpack", "labels"])
def test_every_command_has_help_with_an_example(command):
    reported = subprocess.run(
        [sys.executable, "-m", "wsss_core", *command.split(), "--help"], capture_output=True, text=True, check=True
    )
    assert f"python -m wsss_core {command}" in reported.stdout.split("usage:")[1].split("\n", 3)[-1]
