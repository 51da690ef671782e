"""A sweep through the workflow, in several shards: what is shared, the reports, prune."""

import json
import re

import pandas
import pytest

from .workflow import Workflow, small_demo

pytestmark = pytest.mark.xdist_group("sweep")

FIELDS = {
    "cams.advcam.steps": [2, 3],
    "affinities.direct.pseudo_labels.background.times_seed_threshold": [0.5, 1],
}
NAMES = [f"grid-steps={steps}-times_seed_threshold={times}" for steps in (2, 3) for times in (0.5, 1)]


def small_sweep():
    config = small_demo("advcam")
    config["affinities"] = {"direct": {"method": "none"}}
    config["experiments"] = {"advcam": {"cams": "advcam", "affinity": "direct"}}
    config["sweeps"] = {"grid": {"experiment": "advcam", "fields": FIELDS}}
    config["runtime"]["shards"] = 2
    config["report"] = {"climbs": 0}
    return config


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("swept"), small_sweep())
    workflow.run()
    return workflow


def test_points_share_what_they_have_in_common(tmp_path):
    planned = Workflow(tmp_path, small_sweep()).planned()
    assert planned["train_classifier"] == 1
    assert planned["generate_cams"] == 2 * 2  # steps times shards: the experiment itself is one of the points
    assert planned["make_pseudo_labels"] == 4 * 2
    assert planned["report_sweep"] == 1 and planned["link_experiment"] == 1 + 4


def test_the_report_waits_for_other_seeds_of_an_experiment_and_for_no_other_points(tmp_path):
    config = small_sweep()
    field = "classifiers.ordinary.optimisation.seed"
    config["sweeps"]["seeds"] = {"experiment": "advcam", "fields": {field: [0, 1]}}
    planned = Workflow(tmp_path, config).planned("make_report")
    assert planned["train_classifier"] == 2 and "report_sweep" not in planned
    assert planned["link_experiment"] == 1 + 2 + 1  # a point of the grid is the experiment itself


def test_table_plot_and_links_are_made(swept):
    folder = swept.results / "sweeps" / "grid"
    table = pandas.read_csv(folder / "table.csv").set_index("experiment")
    assert list(table.index) == NAMES
    assert table[["seed", "pseudo_labels"]].notna().all(axis=None)
    assert table["seed"].iloc[0] == table["seed"].iloc[1] != table["seed"].iloc[2]
    labels = table["pseudo_labels"]  # at the higher threshold both maps may leave background alone
    assert labels.iloc[0] != labels.iloc[1] and labels.iloc[0] != labels.iloc[2] != labels.iloc[3]
    summary = pandas.read_csv(swept.results / "summary.csv").set_index("experiment")
    assert list(summary.index) == ["advcam"]
    same = ["seed", "pseudo_labels", "seed_background", "pseudo_labels_background"]
    assert (table.loc[NAMES[3], same] == summary.loc["advcam", same]).all()
    assert (folder / "plot.png").stat().st_size > 10_000
    links = json.loads((swept.results / "experiments" / NAMES[0] / "links.json").read_text())
    assert links["cams"] == json.loads((swept.results / "experiments" / NAMES[1] / "links.json").read_text())["cams"]
    assert (swept.results / "experiments" / NAMES[0] / "pseudo_labels" / "labels.scores.csv").exists()


def test_a_wider_sweep_makes_the_new_points_only(swept):
    changed = swept.changed()
    changed.config["sweeps"]["grid"]["fields"]["cams.advcam.steps"] = [2, 3, 4]
    planned = changed.planned("sweeps")
    assert planned["generate_cams"] == 2 and planned["make_pseudo_labels"] == 2 * 2
    assert planned["link_experiment"] == 2 and "train_classifier" not in planned


def test_prune_keeps_what_a_sweep_refers_to(swept):
    assert "nothing to prune" in swept.run("prune")
    changed = swept.changed()
    del changed.config["sweeps"]
    listed = changed.run("prune")
    assert "sweeps/grid" in listed and f"experiments/{NAMES[0]}" in listed
    assert listed.count("/cams/advcam-") == 1 and listed.count("/pseudo_labels/advcam-direct-") == 3


def test_other_shards_downstream_read_all_of_a_complete_artifacts(swept):
    changed = swept.changed()
    changed.config["runtime"]["shards"] = 3
    changed.config["affinities"]["direct"]["pseudo_labels"] = {"unsure_below": 0.5}
    for shard, inputs in shards_read(changed).items():
        assert shard.endswith("-of-003") and inputs == {"000-of-002", "001-of-002"}


def test_a_shard_downstream_reads_its_own_images_alone(swept):
    changed = swept.changed()
    changed.config["affinities"]["direct"]["pseudo_labels"] = {"unsure_below": 0.5}
    for shard, inputs in shards_read(changed).items():
        assert inputs == {shard}


def shards_read(workflow):
    """By shard of the pseudo labels that a dry run would make, the shards of class maps that it reads."""
    output = workflow.run("--dry-run", "pseudo_labels")
    jobs = re.findall(r"rule make_pseudo_labels:\n +input: (.*)\n +output: .*/labels/(\S+)\.csv\n", output)
    read = {shard: set(re.findall(r"/shards/([\w-]+)\.h5", inputs)) for inputs, shard in jobs}
    assert len(read) == workflow.config["runtime"]["shards"]
    return read


def test_a_misspelt_key_is_reported_before_anything_runs(tmp_path):
    workflow = Workflow(tmp_path, small_sweep())
    workflow.config["sweeps"]["grid"]["fields"] = {"cams.advcam.step": [2, 3]}
    result = workflow.attempt()
    assert result.returncode != 0
    assert "sweeps.grid.fields.cams.advcam.step: unknown key: 'step'; did you mean 'steps'?" in result.stdout
    assert not workflow.results.exists()
