"""``docs/reproducing.md`` and the recipes say the same."""

import re

import pytest

from tests.plan.shipped_plans import REPOSITORY, shipped_configurations, shipped_content
from wsss_core.config import load_config

PAGE = (REPOSITORY / "docs/reproducing.md").read_text()
ROW = re.compile(r"^\| [^|]+ \| `([^`|]+)` \| `?([^`|]+?)`? \| ([^|]+) \| [^|]+ \|$", re.M)
ROWS = [match.groups() for match in ROW.finditer(PAGE)]
"""File, experiment and published figures of every row that has a file."""
FIGURES = ("seed", "pseudo_labels", "val", "test")


def configured(name):
    return load_config(shipped_content(REPOSITORY / "configs" / f"{name}.yaml"))


@pytest.mark.parametrize(("file", "experiment", "figures"), ROWS, ids=lambda value: value)
def test_a_row_is_what_its_file_plans(file, experiment, figures):
    config = configured(file)
    if experiment == "sweeps":
        assert config.sweeps
        return
    if experiment == "report":
        assert config.report.erasings > 0
        return
    published = config.experiments[experiment].published
    reported = [None if cell == "–" else float(cell) for cell in figures.split(" / ")]
    expected = [getattr(published, figure, None) for figure in FIGURES]
    assert (reported if len(reported) > 1 else [None] * 4) == expected


def test_every_published_figure_of_the_recipes_is_on_the_page():
    missing = set()
    for path in shipped_configurations():
        name = str(path.relative_to(REPOSITORY / "configs").with_suffix("")) if path.parent != REPOSITORY else ""
        if name.startswith(("voc12-", "coco14-", "ablations/")) and name != "voc12-laptop":
            published = {e for e, found in configured(name).experiments.items() if found.published}
            if name.startswith("ablations/"):
                published -= configured(path.stem).experiments.keys()
            missing |= {(name, e) for e in published} - {(file, e) for file, e, _ in ROWS}
    assert not missing


def test_resnet38s_file_has_one_name_in_the_manual_and_the_recipes():
    pages = [*(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "configs").rglob("*.yaml")]
    names = [set(), set()]
    for page in pages:
        names[page.suffix == ".yaml"] |= set(re.findall(r"weights/resnet38[\w.-]*\.safetensors", page.read_text()))
    assert names[0] == names[1] and len(names[0]) == 1


def test_the_page_names_the_rows_of_seenet_that_need_no_saliency():
    experiments = {e: file for file, e, _ in ROWS if file.endswith("voc12-seenet")}
    without = set()
    for experiment, file in experiments.items():
        config = configured(file)
        affinity = config.affinities[config.experiments[experiment].affinity]
        if affinity.pseudo_labels.background.saliency is None:
            without.add(experiment)
    (sentence,) = re.findall(r"Rows other than ([^.]+?)\sneed\s`dataset.saliency`", PAGE)
    assert without == set(re.findall("`(.+?)`", sentence)) and len(without) < len(experiments)
