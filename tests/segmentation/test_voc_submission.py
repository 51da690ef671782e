import io
import tarfile

import numpy as np
import pandas
import pytest
from PIL import Image

from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.datasets.index import COLUMNS, DatasetIndex
from wsss_core.datasets.palette import label_image, write_label_map
from wsss_core.errors import UserError
from wsss_core.segmentation.voc_submission import make_voc_submission, submission_faults

SIZES = {"2008_000006": (4, 6), "2010_000002": (5, 3)}
FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"
ROWS = [(image_id, "test", f"{image_id}.jpg", *size, "") for image_id, size in SIZES.items()]
INDEX = DatasetIndex(VOC_CLASSES, pandas.DataFrame(ROWS, columns=list(COLUMNS)))


@pytest.fixture
def label_maps(tmp_path):
    files = {}
    for image_id, size in SIZES.items():
        files[image_id] = tmp_path / f"{image_id}.png"
        labels = np.random.default_rng(len(files)).integers(0, 21, size, dtype=np.uint8)
        write_label_map(files[image_id], labels)
    return files


def test_the_archive_has_the_servers_layout(label_maps, tmp_path):
    archive = tmp_path / "results.tgz"
    make_voc_submission(label_maps, INDEX, "comp6", archive)
    with tarfile.open(archive, "r:gz") as packed:
        assert packed.getnames() == [f"{FOLDER}/{image_id}.png" for image_id in SIZES]
        for image_id, path in label_maps.items():
            image = Image.open(packed.extractfile(f"{FOLDER}/{image_id}.png"))
            assert image.mode == "P" and image.getpalette()[3:6] == [128, 0, 0]  # aeroplanes are dark red
            np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(path)))
    make_voc_submission(label_maps, INDEX, "comp5", tmp_path / "other.tgz")
    with tarfile.open(tmp_path / "other.tgz") as packed:
        assert packed.getnames()[0].startswith("results/VOC2012/Segmentation/comp5_test_cls/")
    first = archive.read_bytes()
    make_voc_submission(label_maps, INDEX, "comp6", archive)
    assert archive.read_bytes() == first


def saved(image, **options):
    content = io.BytesIO()
    image.save(content, **options)
    return content.getvalue()


def labelled(value=0, size=(4, 6)):
    return label_image(np.full(size, value, np.uint8))


def recoloured():
    image = labelled()
    image.putpalette([200, 0, 0] * 256)
    return image


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (saved(labelled(255), format="PNG"), "has the values 255; allowed are 0 to 20"),
        (saved(labelled(21), format="PNG"), "has the values 21"),
        (saved(labelled(size=(6, 4)), format="PNG"), "is 6 high and 4 wide; its image is 4 high and 6 wide"),
        (saved(labelled().convert("RGB"), format="PNG"), "is PNG of mode RGB; expected a PNG with a palette"),
        (saved(labelled(), format="GIF"), "cannot be read as an image"),
        (saved(recoloured(), format="PNG"), "has other colours"),
        (saved(labelled(), format="PNG")[:-30], "cannot be read as an image"),
        (b"nothing", "cannot be read as an image"),
    ],
)
def test_a_label_map_that_the_server_would_not_take(content, fault, label_maps, tmp_path):
    label_maps["2008_000006"].write_bytes(content)
    with pytest.raises(UserError, match="the VOC server would refuse") as caught:
        make_voc_submission(label_maps, INDEX, "comp6", tmp_path / "results.tgz")
    assert f"{FOLDER}/2008_000006.png: {fault}" in str(caught.value) and "2010_000002" not in str(caught.value)
    assert not (tmp_path / "results.tgz").exists()


def test_every_image_of_the_list_and_no_other(label_maps, tmp_path):
    label_maps["stranger"] = label_maps.pop("2010_000002")
    with pytest.raises(UserError) as caught:
        make_voc_submission(label_maps, INDEX, "comp6", tmp_path / "results.tgz")
    assert f"{FOLDER}/2010_000002.png: is missing" in str(caught.value)
    assert f"{FOLDER}/stranger.png: belongs to no image of the test list" in str(caught.value)


def test_a_missing_file_is_named(label_maps, tmp_path):
    label_maps["2010_000002"].unlink()
    with pytest.raises(UserError, match=r"2010_000002\.png: cannot be read"):
        make_voc_submission(label_maps, INDEX, "comp6", tmp_path / "results.tgz")


def test_an_archive_for_the_other_competition_is_reported(label_maps, tmp_path):
    make_voc_submission(label_maps, INDEX, "comp6", tmp_path / "results.tgz")
    assert list(submission_faults(tmp_path / "results.tgz", INDEX, "comp6")) == []
    assert len(list(submission_faults(tmp_path / "results.tgz", INDEX, "comp5"))) == 2 * len(SIZES)


def test_long_lists_of_faults_are_cut(tmp_path):
    rows = [(f"{n:03d}", "test", "x.jpg", 2, 2, "") for n in range(30)]
    index = DatasetIndex(VOC_CLASSES, pandas.DataFrame(rows, columns=list(COLUMNS)))
    with pytest.raises(UserError) as caught:
        make_voc_submission({}, index, "comp6", tmp_path / "results.tgz")
    assert "019.png" in str(caught.value) and "020.png" not in str(caught.value) and "and 10 more" in str(caught.value)
