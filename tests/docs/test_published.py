"""The page of recipes has the figures that the recipes themselves hold."""

import re

import pytest
import yaml

from .markdown import REPOSITORY

PAGE = (REPOSITORY / "docs/voc_and_coco.md").read_text()
RECIPES = sorted(path for path in (REPOSITORY / "configs").glob("*.yaml") if path.stem.startswith(("voc", "coco")))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipes_row_has_its_published_figures(recipe):
    (row,) = re.findall(rf"^\| `configs/{recipe.name}` \|.*$", PAGE, re.M)
    experiments = yaml.safe_load(recipe.read_text())["experiments"].values()
    published = [
        experiment["published"] for experiment in experiments if "published" in experiment and "affinity" in experiment
    ]
    figures = {f"{value:.1f}" for figures in published for key, value in figures.items() if key != "source"}
    assert set(re.findall(r"\d\d\.\d", row)) == figures
