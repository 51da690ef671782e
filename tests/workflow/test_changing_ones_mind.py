import json
import resource
import shlex
import shutil
from dataclasses import replace

import pandas
import pytest

pytestmark = pytest.mark.xdist_group("finished")

ADVCAM_AND_ON = {
    "generate_cams": 1,
    "record_climb": 1,
    "score_cams": 2,
    "refine_seeds": 1,
    "make_affinity_labels": 1,
    "train_affinity": 1,
    "spread_cams": 1,
    "make_pseudo_labels": 1,
    "train_segmenter": 1,
    "predict": 1,
    "score_label_maps": 3,
}
WARNED = "leads to results of other settings. If Snakemake now finds nothing to do, add `--forcerun link_experiment`"
PEOPLE = {"summarise", "make_report", "draw_overview", "link_experiment", "all"}


def without_people(planned):
    return {rule: count for rule, count in planned.items() if rule not in PEOPLE}


def seconds_of_processor():
    """What the processes that this one has started, and that have ended, have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_finished_run_has_nothing_to_do_and_computes_little_to_say_so(finished):
    before = seconds_of_processor()
    output = replace(finished, warm=False).run()
    assert seconds_of_processor() - before < 5  # that is as many seconds where the machine has nothing else to do
    assert "Nothing to be done" in output


def test_a_changed_step_number_reruns_advcam_and_what_hangs_on_it_only(finished):
    changed = finished.changed()
    changed.config["cams"]["advcam"]["steps"] = 4
    assert without_people(changed.planned()) == ADVCAM_AND_ON
    output = changed.run("--dry-run")
    made = [line for line in output.splitlines() if line.startswith("    output:")]
    assert made and not any("cams/cam-" in line for line in made)
    assert finished.planned() == {}


def test_links_of_other_settings_are_named_where_snakemakes_records_are_missing(finished, tmp_path):
    """A colleague's clone that uses the same results, or a folder whose .snakemake was deleted."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    colleagues = replace(finished, folder=folder).changed()
    assert colleagues.planned() == {} and WARNED not in colleagues.run("--dry-run")
    colleagues.config["cams"]["advcam"]["threshold"] = 0.4
    assert f"experiments/advcam: {WARNED}" in colleagues.run("--dry-run") and colleagues.planned() == {}
    planned = colleagues.planned("--forcerun", "link_experiment")
    assert planned["make_affinity_labels"] == 1 and planned["summarise"] == planned["make_report"] == 1


def test_a_changed_threshold_leaves_the_maps_alone(finished):
    changed = finished.changed()
    changed.config["cams"]["advcam"]["threshold"] = 0.4
    planned = without_people(changed.planned())
    assert "generate_cams" not in planned and planned["score_cams"] == 1  # of the walked maps
    assert planned["make_affinity_labels"] == 1


def test_a_changed_crf_after_the_walk_walks_no_more(finished):
    changed = finished.changed()
    changed.config["affinities"]["irn"]["pseudo_labels"]["crf"] = None
    planned = without_people(changed.planned("pseudo_labels"))
    assert planned == {"make_pseudo_labels": 2, "pseudo_labels": 1}


def test_how_it_runs_is_no_reason_to_run_again(finished):
    changed = finished.changed()
    changed.config["runtime"].update(shards=3, workers=1, device="auto")
    changed.config["resources"] = {"predict": {"mem_mb": 777}}
    assert changed.planned() == {}


def test_a_new_experiment_reuses_what_it_shares(finished):
    changed = finished.changed()
    changed.config["segmenters"]["brief"] = {"extends": "deeplab", "optimisation": {"epochs": 1}}
    changed.config["experiments"]["brief"] = {"cams": "advcam", "affinity": "irn", "segmenter": "brief"}
    assert without_people(changed.planned()) == {"train_segmenter": 1, "predict": 1, "score_label_maps": 1}


def test_targets_stop_at_their_stage(finished):
    changed = finished.changed()
    changed.config["dataset"]["generate"]["seed"] = 99
    assert set(changed.planned("classifier")) == {
        *("generate_creatures", "index_dataset", "train_classifier", "score_classifier", "classifier")
    }
    assert "train_affinity" not in changed.planned("cams")


def test_prune_lists_what_nothing_refers_to(finished):
    assert "nothing to prune" in finished.run("prune")
    changed = finished.changed()
    del changed.config["experiments"]["advcam"]
    listed = changed.run("prune")
    assert "experiments/advcam" in listed and "cams/advcam-" in listed and "cams/cam-" not in listed
    assert f"snakemake prune --configfile {shlex.quote(str(changed.folder / 'config.yaml'))} --config" in listed
    assert finished.planned() == {}


def test_links_provenance_and_summary_show_what_was_done(finished):
    links = json.loads((finished.results / "experiments/advcam/links.json").read_text())
    assert set(links) == {
        *(
            "classifier",
            "cams",
            "refined_seeds",
            "affinity_labels",
            "affinity",
            "walked_cams",
            "pseudo_labels",
            "segmenter",
            "predictions",
        )
    }
    for stage in links:
        artifact = finished.results / "experiments/advcam" / stage
        provenance = json.loads((artifact / "provenance.json").read_text())
        assert provenance["stage"] == stage
        assert artifact.resolve().name.endswith(provenance["digest"])
        assert provenance["versions"]["torch"]
        assert all(job["seconds"] > 0 and job["device"].startswith("CPU") for job in provenance["jobs"].values())
        assert not (artifact / ".partial").exists()
    table = pandas.read_csv(finished.results / "summary.csv").set_index("experiment")
    assert list(table.index) == ["cam", "advcam", "full"]
    scored = table.loc[["cam", "advcam"], ["seed", "seed_oracle", "refined_seed", "walk", "pseudo_labels", "val"]]
    assert scored.notna().all(axis=None) and (scored > 0).all(axis=None) and (scored < 100).all(axis=None)
    assert (table["seed_oracle"] >= table["seed"]).loc[["cam", "advcam"]].all()
    assert table.loc["full", ["seed", "refined_seed", "pseudo_labels"]].isna().all() and table.loc["full", "val"] > 0
    assert "not weak supervision" in (finished.results / "summary.md").read_text()
    assert (finished.results / "overview.png").stat().st_size > 10_000


def test_logs_are_plain_lines(finished):
    log = next((finished.results / "logs" / "train_classifier").glob("*.log")).read_text()
    assert "epoch" in log and "loss" in log and "done in" in log and "\r" not in log
