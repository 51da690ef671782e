"""What is written is read back as it was, in every format; and by the tools' own packages where they are installed."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy import ndimage

from wsss_core.annotations.brush_runs import pack, unpack
from wsss_core.annotations.coco_json import read_coco
from wsss_core.annotations.exported import Export, ExportedImage
from wsss_core.annotations.formats import FORMATS, read_annotations
from wsss_core.annotations.outlines import filled, outlines
from wsss_core.annotations.regions import drawn
from wsss_core.datasets.palette import label_image, voc_palette
from wsss_core.errors import UserError

CLASSES = ("cat", "dog", "a b & <c>")
WRITTEN = [(name, shapes) for name, kind in FORMATS.items() for shapes in kind.shapes]


def blobs(seed, height=37, width=52, values=(0, 1, 2, 3, 255), smooth=2.0):
    """A label map with parts, holes and touching regions."""
    noise = np.random.default_rng(seed).random((len(values), height, width))
    return np.array(values, np.uint8)[ndimage.gaussian_filter(noise, (0, smooth, smooth)).argmax(axis=0)]


def export_of(label_maps, shapes, tolerance=0.0):
    images = [
        ExportedImage(image_id, f"{image_id}.png", labels.shape, lambda labels=labels: labels)
        for image_id, labels in label_maps.items()
    ]
    return Export("cam, pseudo_labels", CLASSES, shapes, tolerance, images, "/data/local-files/?d=out/images/")


def write(folder, name, label_maps, shapes, tolerance=0.0):
    folder.mkdir()
    for image_id in label_maps:
        (folder / "images" / image_id).parent.mkdir(parents=True, exist_ok=True)
    FORMATS[name].write(folder, export_of(label_maps, shapes, tolerance))
    return folder


LABEL_MAPS = {"one": blobs(1), "in a folder/two": blobs(2, 20, 61), "all ignored": np.full((5, 4), 255, np.uint8)}


@pytest.mark.parametrize(("name", "shapes"), WRITTEN)
def test_what_is_written_comes_back(tmp_path, name, shapes):
    folder = write(tmp_path / "out", name, LABEL_MAPS, shapes)
    images = list(read_annotations(folder, CLASSES))
    read = {image.name.removesuffix(".png"): drawn(image, CLASSES) for image in images}
    assert sorted(read) == sorted(LABEL_MAPS)
    for image_id, labels in LABEL_MAPS.items():
        np.testing.assert_array_equal(read[image_id], labels)


@pytest.mark.parametrize(("name", "shapes"), [item for item in WRITTEN if item[1] == "polygons"])
def test_polygons_with_a_tolerance_are_near_and_have_fewer_points(tmp_path, name, shapes):
    labels = blobs(3, 120, 160, smooth=6.0)
    edges = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    edges[[0, -1]] = edges[:, [0, -1]] = True  # the image's border is an edge of its regions
    sizes = []
    for tolerance in (0.0, 1.0):
        folder = write(tmp_path / str(tolerance), name, {"one": labels}, shapes, tolerance)
        (image,) = read_annotations(folder, CLASSES)
        other = drawn(image, CLASSES) != labels
        assert not other.any() if tolerance == 0 else not (other & ~ndimage.binary_dilation(edges)).any()
        sizes.append(sum(file.stat().st_size for file in folder.rglob("*.*") if file.suffix in (".json", ".xml")))
    assert sizes[1] < 0.7 * sizes[0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.0, 0.7, 2.0]))
def test_outlines_cover_each_pixel_of_a_region_once(seed, height, width, smooth):
    region = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), smooth) > 0.5
    covered = np.zeros(region.shape, int)
    for polygon in outlines(region):
        assert len(polygon) >= 3 and not np.array_equal(polygon[0], polygon[-1])
        covered += coco_mask.decode(filled(polygon, region.shape))
    np.testing.assert_array_equal(covered, region)


def test_a_region_with_a_hole_is_cut_into_simple_polygons():
    ring = np.ones((7, 9), bool)
    ring[2:5, 3:6] = False
    assert len(outlines(ring)) == 2


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_brush_runs_come_back(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    np.testing.assert_array_equal(unpack(pack(mask), height, width), mask)


def test_brush_runs_longer_than_a_length_can_be():
    mask = np.zeros((300, 400), bool)
    mask[150:] = True
    np.testing.assert_array_equal(unpack(pack(mask), 300, 400), mask)


def test_brush_runs_with_values_one_by_one():
    """Label Studio writes the blurred edge of a brush so: runs of different values."""
    alphas = [0, 100, 127, 128, 200, 255]
    bits = f"{4 * len(alphas):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    bits += "0" + "10" + f"{4 * len(alphas) - 1:08b}"
    bits += "".join(f"{value:08b}" for alpha in alphas for value in (255, 0, 0, alpha))
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]
    np.testing.assert_array_equal(unpack(packed, 2, 3), [[False, False, False], [True, True, True]])


@pytest.mark.parametrize("packed", [[], [0] * 8, [1, 2, 300], None, pack(np.ones((4, 4), bool))[:-2]])
def test_damaged_brush_runs(packed):
    with pytest.raises(ValueError, match="rle"):
        unpack(packed, 4, 4)


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio"])
def test_an_archive_is_read_too(tmp_path, name):
    folder = write(tmp_path / "out", name, {"one": blobs(1)}, "masks")
    (file,) = [f for f in folder.iterdir() if f.name in ("annotations.json", "annotations.xml", "tasks.json")]
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
        archive.write(file, f"annotations/{file.name}")
        archive.writestr("images/one.png", b"")
    (image,) = read_annotations(tmp_path / "it.zip", CLASSES)
    np.testing.assert_array_equal(drawn(image, CLASSES), blobs(1))


MAC = {"__MACOSX/out/._annotations.json": b"\0\5\26\7", "__MACOSX/._one.png": b"\0\5", "out/.DS_Store": b"\0\0\0\1Bud1"}


@pytest.mark.parametrize(("name", "shapes"), WRITTEN)
def test_the_archive_of_an_export_is_read(tmp_path, name, shapes):
    """However it was zipped: with the folder's name or without it, and on a Mac."""
    folder = write(tmp_path / "out", name, LABEL_MAPS, shapes)
    (folder / "exported.json").write_text(json.dumps({"shapes": shapes, "images": {}}))
    for image_id in LABEL_MAPS:
        Image.new("RGB", (3, 3), (1, 2, 3)).save(folder / f"images/{image_id}.png")
    for below in (tmp_path, folder):
        with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
            for file in folder.rglob("*"):
                archive.write(file, file.relative_to(below))
            for mac, content in MAC.items():
                archive.writestr(mac, content)
        images = list(read_annotations(tmp_path / "it.zip", CLASSES))
        assert sorted(image.name.removesuffix(".png") for image in images) == sorted(LABEL_MAPS)
        for image in images:
            assert image.place.startswith(str(tmp_path / "it.zip"))
            np.testing.assert_array_equal(drawn(image, CLASSES), LABEL_MAPS[image.name.removesuffix(".png")])


def test_an_archive_of_masks_alone_is_read(tmp_path):
    folder = write(tmp_path / "out", "png", LABEL_MAPS, "masks")
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
        for file in (folder / "labels").rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    images = list(read_annotations(tmp_path / "it.zip", CLASSES))
    assert sorted(image.name for image in images) == sorted(LABEL_MAPS)


def zipped(tmp_path, content=b"[" + b" " * 2000 + b"]", name="tasks.json"):
    with zipfile.ZipFile(tmp_path / "it.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return tmp_path / "it.zip"


def test_archives_that_are_damaged_are_reported(tmp_path):
    whole = zipped(tmp_path).read_bytes()
    place = 30 + len("tasks.json")  # the header of a member, and its name
    for damaged in (whole[:place] + b"\xff" * 8 + whole[place + 8 :], whole[:-30]):
        (tmp_path / "it.zip").write_bytes(damaged)
        with pytest.raises(UserError, match=r"it.zip: is .*archive.*make or download it again"):
            list(read_annotations(tmp_path / "it.zip", CLASSES))


@pytest.mark.parametrize("name", ["../tasks.json", "/tmp/tasks.json", "a/../../tasks.json"])
def test_archives_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="which points outside it"):
        list(read_annotations(zipped(tmp_path, name=name), CLASSES))


def test_faults_in_an_archive_name_it(tmp_path):
    with pytest.raises(UserError, match=r"it.zip/a/tasks.json: has none of the formats"):
        list(read_annotations(zipped(tmp_path, b"{}", "a/tasks.json"), CLASSES))
    with pytest.raises(UserError, match=r"it.zip: holds no annotations"):
        list(read_annotations(zipped(tmp_path, b"", "a.txt"), CLASSES))


@pytest.mark.parametrize("shapes", ["polygons", "masks"])
def test_labelmes_images_may_be_called_as_files_of_the_export(tmp_path, shapes):
    label_maps = {name: blobs(number) for number, name in enumerate(["exported", "labels", "values", "a/exported"])}
    folder = write(tmp_path / "out", "labelme", label_maps, shapes)
    (folder / "exported.json").write_text(json.dumps({"shapes": shapes, "images": {}}))
    for place in (folder, folder / "images"):
        images = list(read_annotations(place, CLASSES))
        assert sorted(image.name for image in images) == sorted(label_maps)


def test_pycocotools_reads_the_export(tmp_path):
    for shapes in ("masks", "polygons"):
        folder = write(tmp_path / shapes, "coco", LABEL_MAPS, shapes)
        coco = COCO(str(folder / "annotations.json"))
        assert {image["file_name"] for image in coco.imgs.values()} == {f"{name}.png" for name in LABEL_MAPS}
        for number, image in coco.imgs.items():
            labels = np.zeros((image["height"], image["width"]), np.uint8)
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[number])):
                name = coco.cats[annotation["category_id"]]["name"]
                value = 255 if name == "ignored" else CLASSES.index(name) + 1
                mask = coco.annToMask(annotation).astype(bool)
                assert annotation["area"] == mask.sum()
                labels[mask] = value
            np.testing.assert_array_equal(labels, LABEL_MAPS[image["file_name"].removesuffix(".png")])


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
@pytest.mark.parametrize("name", ["coco", "cvat"])
def test_datumaro_reads_the_export(tmp_path, name, shapes):
    """CVAT itself imports by datumaro."""
    datumaro = pytest.importorskip("datumaro")
    folder = write(tmp_path / "out", name, LABEL_MAPS, shapes)
    for image_id, labels in LABEL_MAPS.items():
        Image.fromarray(labels).save(folder / "images" / f"{image_id}.png")
    if name == "coco":
        (folder / "annotations").mkdir()
        shutil.move(folder / "annotations.json", folder / "annotations/instances_default.json")
        shutil.move(folder / "images", folder / "default")
        (folder / "images").mkdir()
        shutil.move(folder / "default", folder / "images/default")
    kind = datumaro.AnnotationType.mask if shapes == "masks" else datumaro.AnnotationType.polygon
    dataset = datumaro.Dataset.import_from(str(folder), "coco_instances" if name == "coco" else "cvat")
    names = [category.name for category in dataset.categories()[datumaro.AnnotationType.label]]
    found = {item.id: item for item in dataset}
    assert sorted(found) == sorted(LABEL_MAPS)
    for image_id, labels in LABEL_MAPS.items():
        read = np.zeros_like(labels)
        annotations = [item for item in found[image_id].annotations if item.type == kind]  # COCO's have boxes as well
        for annotation in sorted(annotations, key=lambda item: item.z_order):
            name_of = names[annotation.label]
            if shapes == "masks":
                mask = np.asarray(annotation.image).astype(bool)
            else:
                mask = coco_mask.decode(filled(np.reshape(annotation.points, (-1, 2)), labels.shape)).astype(bool)
            read[mask] = 255 if name_of == "ignored" else CLASSES.index(name_of) + 1
        np.testing.assert_array_equal(read, labels)


def test_label_studios_converter_reads_the_export(tmp_path):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    folder = write(tmp_path / "out", "label-studio", {"one": blobs(1)}, "masks")
    (task,) = json.loads((folder / "tasks.json").read_text())
    labels = np.zeros((37, 52), np.uint8)
    for result in task["predictions"][0]["result"]:
        (name,) = result["value"]["brushlabels"]
        values = brush.decode_rle(result["value"]["rle"]).reshape(37, 52, 4)
        labels[values[..., 3] > 0] = 255 if name == "ignored" else CLASSES.index(name) + 1
        np.testing.assert_array_equal(unpack(brush.mask2rle(values[..., 3]), 37, 52), values[..., 3] > 0)
    np.testing.assert_array_equal(labels, blobs(1))
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    view = interface.LabelInterface((folder / "labeling_config.xml").read_text())
    assert view.validate_task({"data": task["data"]})
    assert view.validate_prediction(task["predictions"][0], return_errors=True) == []


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_labelme_reads_the_export(tmp_path, shapes):
    label_file = pytest.importorskip("labelme._label_file")
    folder = write(tmp_path / "out", "labelme", {"a/one": blobs(1)}, shapes)
    Image.fromarray(blobs(1)).save(folder / "images/a/one.png")
    read = label_file.read_label_file(str(folder / "images/a/one.json"))
    labels = np.zeros((37, 52), np.uint8)
    for shape in read.shapes:
        value = 255 if shape["label"] == "ignored" else CLASSES.index(shape["label"]) + 1
        if shapes == "masks":
            (left, top), (right, bottom) = np.array(shape["points"], int)
            labels[top : bottom + 1, left : right + 1][shape["mask"]] = value
        else:
            labels[coco_mask.decode(filled(np.array(shape["points"]), labels.shape)).astype(bool)] = value
    np.testing.assert_array_equal(labels, blobs(1))


COCO_FILE = {
    "images": [{"id": 7, "file_name": "one.jpg", "height": 4, "width": 5}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 4, 0, 4]]}],
    "categories": [{"id": 1, "name": "cat"}],
}


def changed(document, **changes):
    copy = json.loads(json.dumps(document))
    for path, value in changes.items():
        section, key = path.split("__")
        if value is None:
            del copy[section][0][key]
        else:
            copy[section][0][key] = value
    return copy


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (changed(COCO_FILE, annotations__category_id=4), "category_id 4 is not in 'categories'"),
        (changed(COCO_FILE, annotations__image_id=4), "image_id 4, which is not in 'images'"),
        (changed(COCO_FILE, annotations__segmentation=None), "has no 'segmentation'"),
        (changed(COCO_FILE, annotations__segmentation=[[0, 0, 9e9, 0, 3, 4]]), "far outside the image"),
        (changed(COCO_FILE, images__height=None), "an entry of 'images' has no 'height'"),
        ({"shapes": [], "imageHeight": None, "imageWidth": 3}, "expected numbers of pixels"),
        (
            {"shapes": [{"label": "c", "shape_type": "point", "points": [[1, 1]]}], "imageHeight": 4, "imageWidth": 3},
            "a point encloses no pixels",
        ),
        (changed(COCO_FILE, images__height="4"), "image 'one.jpg' is 4 high and 5 wide there; expected numbers"),
        (changed(COCO_FILE, images__height=10**9, images__width=10**9), "which is far too large"),
        (
            f'<annotations><image name="o" height="{10**9}" width="{10**9}"><mask/></image></annotations>',
            "which is far too large",
        ),
        (changed(COCO_FILE, images__file_name=7), "'images' has the 'file_name' 7; it has to be text"),
        (changed(COCO_FILE, categories__name=7), "'categories' has the 'name' 7; it has to be text"),
        (changed(COCO_FILE, images__id=[7]), r"'images' has the 'id' \[7\]; it has to be a number or text"),
        (changed(COCO_FILE, categories__id={}), "'categories' has the 'id' {}"),
        (changed(COCO_FILE, annotations__image_id=[7]), r"'annotations' has the 'image_id' \[7\]"),
        (changed(COCO_FILE, annotations__category_id=[1]), r"'annotations' has the 'category_id' \[1\]"),
        (changed(COCO_FILE, annotations__category_id=None), "an entry of 'annotations' has no 'category_id'"),
        (COCO_FILE | {"categories": {"1": "cat"}}, "the 'categories' of the file are .*; they have to be a list"),
        (COCO_FILE | {"categories": 1}, "the 'categories' of the file are 1; they have to be a list"),
        (COCO_FILE | {"categories": ["cat"]}, "an entry of 'categories' has no 'name'"),
        (COCO_FILE | {"images": COCO_FILE["images"] * 2}, "two entries of 'images' have the id 7"),
        ([{"data": ["one.jpg"]}], "an entry of 'data' has no 'image'"),
        ([{"data": {"image": 7}}], "'data' has the 'image' 7; it has to be text"),
        ([{"data": {"image": "one.jpg"}, "annotations": {}}], "the 'annotations' of 'one.jpg' are {}"),
        ([{"data": {"image": "one.jpg"}, "annotations": ["x"]}], "has no 'result'"),
        ([{"data": {"image": "one.jpg"}, "annotations": [{"result": 4}]}], "the 'result' of 'one.jpg' are 4"),
        ({"something": "else"}, "has none of the formats coco, cvat"),
        ([{"data": {"image": "one.jpg"}, "annotations": [{}]}], "has no 'result'"),
        ("{", "is not JSON"),
        ("<annotations><track/></annotations>", "not a file of 'CVAT for images 1.1'"),
        ("<annotations>", "is not XML"),
        (
            '<annotations><image name="o" height="4" width="4"><points label="c" points="1,1"/></image></annotations>',
            "image 'o': a points encloses no pixels",
        ),
        (
            '<annotations><image name="o" height="4" width="4"><mask label="c" rle="3, 4" left="0" top="0" width="2" '
            'height="2"/></image></annotations>',
            "do not cover its box of 4 pixels",
        ),
    ],
)
def test_wrong_files_are_reported(tmp_path, document, said):
    file = tmp_path / "file"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(UserError, match="file.*" + said):
        list(read_annotations(file, CLASSES))


def test_a_task_with_nothing_but_the_numbers_of_its_predictions_is_not_annotated(tmp_path):
    (tmp_path / "tasks.json").write_text(json.dumps([{"data": {"image": "one.jpg"}, "predictions": [4, 5]}]))
    (image,) = read_annotations(tmp_path / "tasks.json", CLASSES)
    assert not image.annotated and not image.regions


def test_an_unknown_label_is_reported_with_the_nearest_class():
    (image,) = read_coco(Path("file"), changed(COCO_FILE, categories__name="Cats"))
    with pytest.raises(ValueError, match="the label 'Cats', which is no class; did you mean 'cat'"):
        drawn(image, CLASSES)


def test_colours_of_the_palette_are_read_and_others_reported(tmp_path):
    labels = blobs(4, values=(0, 1, 2, 3))
    label_image(labels).convert("RGB").save(tmp_path / "one.png")
    (image,) = read_annotations(tmp_path, CLASSES)
    np.testing.assert_array_equal(drawn(image, CLASSES), labels)
    Image.new("RGB", (3, 3), (1, 2, 3)).save(tmp_path / "one.png")
    (image,) = read_annotations(tmp_path, CLASSES)
    assert image.place == str(tmp_path / "one.png")
    with pytest.raises(ValueError, match=r"^has the colour \(1, 2, 3\)"):
        drawn(image, CLASSES)


def test_a_palette_in_another_order_is_read_by_its_colours(tmp_path):
    """As editors leave it that sort the colours, or drop those that are not used."""
    labels = blobs(4)
    order = np.array([2, 255, 0, 3, 1])  # the palette's place 0 has the colour of class 2, and so on
    indices = np.zeros_like(labels)
    for place, value in enumerate(order):
        indices[labels == value] = place
    image = Image.fromarray(indices)
    image.putpalette(voc_palette()[order].tobytes())
    image.save(tmp_path / "one.png", bits=4)
    (read,) = read_annotations(tmp_path, CLASSES)
    np.testing.assert_array_equal(drawn(read, CLASSES), labels)


@pytest.mark.parametrize("colours", [[(0, 0, 0), (255, 0, 0)], [(0, 0, 0), (129, 0, 0)], [(0, 0, 0), (1, 1, 1)]])
def test_a_palette_of_other_colours_is_refused(tmp_path, colours):
    image = Image.fromarray(np.eye(5, dtype=np.uint8))
    image.putpalette([value for colour in colours for value in colour])
    image.save(tmp_path / "one.png")
    (read,) = read_annotations(tmp_path, CLASSES)
    assert f"has the colour {colours[1]}" in read.fault and not read.regions


def test_grey_counts_by_its_values_and_colours_that_no_pixel_has_do_not_matter(tmp_path):
    labels = blobs(4)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    image = label_image(labels)
    palette = voc_palette()
    palette[4:255] = 7
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "other.png")
    for read in read_annotations(tmp_path, CLASSES):
        np.testing.assert_array_equal(drawn(read, CLASSES), labels)


def test_erased_pixels_are_background_and_half_erased_ones_reported(tmp_path):
    pixels = np.zeros((4, 5, 4), np.uint8)
    pixels[..., 0] = 128
    pixels[:2, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "one.png")
    (read,) = read_annotations(tmp_path, CLASSES)
    np.testing.assert_array_equal(drawn(read, CLASSES), np.repeat([[1], [1], [0], [0]], 5, axis=1))
    pixels[3, :, 3] = 9
    Image.fromarray(pixels).save(tmp_path / "one.png")
    (read,) = read_annotations(tmp_path, CLASSES)
    assert "has the colour (128, 0, 0, 9)" in read.fault


def test_faults_of_single_masks_do_not_end_the_reading(tmp_path):
    for name in ("a.png", "a.PNG", "b.png"):
        label_image(blobs(1)).save(tmp_path / name, format="PNG")
    label_image(np.full((3, 3), 77, np.uint8)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"damaged")
    faults = {image.name: image.fault for image in read_annotations(tmp_path, CLASSES)}
    assert "have the same id, 'a'" in faults["a"] and faults["b"] == ""
    assert faults["c"] == "has the values 77; the classes are 1 to 3"
    assert faults["d"].startswith("is text that begins")
