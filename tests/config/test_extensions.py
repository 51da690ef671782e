"""Faults of extension files, reported when the configuration is read."""

import pytest

from wsss_core.config.extensions import load_extension
from wsss_core.errors import UserError

SETTINGS = """
from typing import Literal
from wsss_core.config.cams import Cams
from wsss_core.config.classifiers import Classifier
from wsss_core.config.extensions import register
"""


def error_of(tmp_path, content):
    file = tmp_path / "mine.py"
    file.write_text(SETTINGS + content)
    with pytest.raises(UserError) as caught:
        load_extension(str(file))
    assert str(caught.value).startswith(str(file))
    return str(caught.value).removeprefix(str(file))


def test_settings_with_a_name_of_the_package(tmp_path):
    content = """
@register("classifiers")
class Mine(Classifier):
    objective: Literal["ordinary"] = "ordinary"
"""
    assert "Mine: the name 'ordinary' is the package's own; choose another" in error_of(tmp_path, content)


def test_an_objective_with_a_name_of_the_package(tmp_path):
    content = """
from wsss_core.classifiers.objective import Objective
class Mine(Objective, name="cgnet"):
    pass
"""
    assert "the name 'cgnet' is the package's own (wsss_core.classifiers.cgnet)" in error_of(tmp_path, content)


def test_a_cam_method_with_a_name_of_the_package(tmp_path):
    content = """
from wsss_core.cams.methods import cam_method
@cam_method("advcam")
def mine(classifier, image, class_indices, parameters):
    pass
"""
    assert "the name 'advcam' is the package's own (wsss_core.cams.advcam)" in error_of(tmp_path, content)


@pytest.mark.parametrize("name", ["resnet50", "timm"])
def test_a_trunk_with_a_name_of_the_package(tmp_path, name):
    content = f"""
from wsss_core.config.networks import Backbone
@register("backbones")
class Mine(Backbone):
    network: Literal["{name}"] = "{name}"
"""
    assert f"Mine: the name '{name}' is the package's own; choose another" in error_of(tmp_path, content)


@pytest.mark.parametrize(
    "name", ["mine", "resnet", "timm_trunk"]
)  # modules of the package are no trunks of these names
def test_a_trunks_settings_without_its_code(tmp_path, name):
    content = f"""
from wsss_core.config.networks import Backbone
import wsss_core.networks.resnet, wsss_core.networks.timm_trunk
@register("backbones")
class Mine(Backbone):
    network: Literal["{name}"] = "{name}"
"""
    assert f"registers settings '{name}' for backbones, but not a TrunkNetwork" in error_of(tmp_path, content)


def test_settings_without_code(tmp_path):
    content = """
@register("cams")
class Mine(Cams):
    method: Literal["mine"] = "mine"
"""
    assert "registers settings 'mine' for cams, but not a function with @cam_method" in error_of(tmp_path, content)


def test_settings_without_a_name(tmp_path):
    content = """
@register("cams")
class Mine(Cams):
    method: Literal["mine"]
"""
    assert 'Mine: needs `method: Literal["name"] = "name"`' in error_of(tmp_path, content)


@pytest.mark.parametrize("section", ["segmenters", "cam"])
def test_a_section_that_takes_none(tmp_path, section):
    content = f"""
@register("{section}")
class Mine(Cams):
    method: Literal["mine"] = "mine"
"""
    assert f"register('{section}'): settings are registered for one of backbones, classifiers, cams" in error_of(
        tmp_path, content
    )


@pytest.mark.parametrize("content", ["import sys; sys.exit(3)", "1 / 0", "def"])
def test_a_file_that_ends_early(tmp_path, content):
    assert "the extension fails: " in error_of(tmp_path, content)


def test_a_folder_or_another_kind_of_file(tmp_path):
    for name in ("folder", "text.txt"):
        path = tmp_path / name
        path.mkdir() if name == "folder" else path.write_text("text")
        with pytest.raises(UserError, match=name):
            load_extension(str(path))
