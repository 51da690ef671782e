"""The viewer: on a run made by hand, whose files lie where the configuration's plan says."""

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import yaml
from matplotlib import font_manager
from PIL import Image

from wsss_core.__main__ import main
from wsss_core.config import load_config, read_yaml
from wsss_core.files.cam_store import ImageCams, write_cam_store
from wsss_core.plan.plan import Plan
from wsss_core.report.lettering import lettering
from wsss_core.report.show import _draw

from .run_tree import CLASSES, SIDE, block, label_maps, made_index

CONFIG = {
    "dataset": {"name": "pets", "root": "data", "classes": list(CLASSES)},
    "backbones": {"small": {"network": "resnet_small", "output_stride": 8, "weights": "scratch"}},
    "classifiers": {"ordinary": {"objective": "ordinary", "backbone": "small"}},
    "cams": {
        "cam": {"classifier": "ordinary", "method": "multiscale"},
        "advcam": {"classifier": "ordinary", "method": "advcam"},
    },
    "affinities": {"direct": {"method": "none"}},
    "segmenters": {"deeplab": {"network": "deeplab", "backbone": "small"}},
    "experiments": {
        "cam": {"cams": "cam", "affinity": "direct", "segmenter": "deeplab"},
        "advcam": {"cams": "advcam", "affinity": "direct", "segmenter": "deeplab"},
        "full": {"labels": "masks", "segmenter": "deeplab"},
    },
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    return tmp_path


@pytest.fixture
def plan(folder):
    """A run whose experiment `cam` is there up to pseudo labels; of `advcam` nothing is made."""
    plan = Plan(load_config(read_yaml("config.yaml")))
    index = made_index(folder, 6)
    for name in ("index.csv", "classes.json"):
        file = Path(plan.dataset.path(name))
        file.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(file)
    train = index.split("train").image_ids
    shards = plan.experiments["cam"]["cams"].directory / "shards"
    shards.mkdir(parents=True)
    values = np.linspace(0, 1, 36, dtype=np.float32).reshape(1, 6, 6)
    maps = [ImageCams(i, np.array([0]), values, None, SIDE, SIDE) for i in train]
    write_cam_store(shards / "000-of-001.h5", CLASSES, {}, maps)
    label_maps(plan.experiments["cam"]["pseudo_labels"].directory, {i: block(1, 12) for i in train})
    return plan


def test_a_picture_is_written_and_its_path_printed(plan, capsys):
    assert main(["show", "cams", "image_1", "--experiments", "cam"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == Path("results/pets/shown/image_1.png")
    with Image.open(path) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_experiments_that_are_not_named_are_shown_if_they_are_there(plan):
    assert main(["show", "cams", "image_1"]) == 0


def test_the_picture_goes_where_it_is_wanted(plan, capsys):
    assert main(["show", "pseudo_labels", "image_0", "--experiments", "cam", "--output", "here/seen.png"]) == 0
    assert capsys.readouterr().out == "here/seen.png\n" and Path("here/seen.png").exists()


@pytest.mark.parametrize(
    "arguments, reported",
    [
        (["cams", "imag_1", "--experiments", "cam"], "has no image 'imag_1'; the nearest of its 6: image_1"),
        (["cams", "image_1", "--experiments", "advcm"], "no such experiment: 'advcm'; did you mean 'advcam'?"),
        (["cams", "image_1", "--experiments", "full"], "'full' has no stage 'cams'; these have it: cam, advcam"),
        (["cams", "image_1", "--experiments", "advcam"], "is not made yet; `snakemake cams` makes it"),
        (["refined_seeds", "image_1"], "no experiment of the configuration has the stage 'refined_seeds'"),
        (["predictions", "image_5"], "is not made yet; `snakemake predictions` makes it"),
        (["cams", "image_5", "--experiments", "cam"], "has no cams of image 'image_5', which is in the split 'val'"),
        (["cams", "image_1", "--configfile", "other.yaml"], "other.yaml: cannot be read"),
        (
            ["cams", "image_1", "--output", "here.jpg"],
            "--output: here.jpg is not a PNG file; its name must end in .png",
        ),
    ],
)
def test_what_is_wrong_is_reported_with_what_would_be_right(plan, capsys, arguments, reported):
    assert main(["show", *arguments]) == 2
    said = capsys.readouterr()
    assert reported in said.err and said.out == ""


def test_a_command_for_another_configuration_names_it(folder, capsys):
    Path("config.yaml").rename("my pets.yaml")
    assert main(["show", "cams", "image_1", "--configfile", "my pets.yaml"]) == 2
    assert "index.csv: is not made yet; `snakemake dataset --configfile 'my pets.yaml'`" in capsys.readouterr().err


def test_dollars_begin_no_formula_and_letters_that_no_font_has_become_their_numbers(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [font_manager.findfont("DejaVu Sans"), "no font"])
    cells = [[("US$ 5^$", "10$_20$ \N{DOG}\N{VARIATION SELECTOR-16} 3 %", np.zeros((40, 40, 3)))]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _draw(cells, "\u732b #1 50% $^$ (train)", tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()
    assert "no installed font has the letters \u732b \N{DOG}; the picture shows their numbers" in caplog.text


def test_letters_come_from_another_font_where_one_has_them(caplog, monkeypatch):
    usual, other = (font_manager.findfont(name) for name in ("cmr10", "DejaVu Sans"))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [other])
    with matplotlib.rc_context({"font.family": ["cmr10"]}), lettering(["\u0416"]) as written:
        assert usual != other and matplotlib.rcParams["font.family"] == ["cmr10", "DejaVu Sans"]
        assert written("\u0416") == "\u0416" and not caplog.text
