import re

import pytest

from benchmarks.plan import configuration, main, plan_baseline, plan_jobs

SINGLE = {"train_affinity", "train_segmenter", "link_experiment"}
"""Rules with one job per experiment, whatever the number of shards."""
SHARDED = {"generate_cams", "refine_seeds", "make_affinity_labels", "spread_cams", "make_pseudo_labels", "predict"}


def planned(tmp_path, experiments, shards, images):
    """Jobs by rule, and the number of input files of all jobs."""
    config = configuration(experiments, shards)
    config["dataset"]["generate"].update(train_images=images, val_images=images)
    output = plan_jobs(config, tmp_path)[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+) *$", output, re.M)}
    inputs = sum(line.count(",") + 1 for line in output.splitlines() if line.startswith("    input: "))
    return jobs, inputs


def test_jobs_are_as_many_as_shards_and_never_as_images(tmp_path):
    jobs, _ = planned(tmp_path, experiments=2, shards=3, images=50)
    assert {jobs[rule] for rule in SHARDED} == {2 * 3}
    assert {jobs[rule] for rule in SINGLE} == {2}
    assert jobs == planned(tmp_path, experiments=2, shards=3, images=5000)[0]


def test_the_graph_grows_with_the_shards_and_not_with_their_square(tmp_path):
    _, few = planned(tmp_path, experiments=1, shards=4, images=50)
    _, many = planned(tmp_path, experiments=1, shards=16, images=50)
    assert many < 4 * few


def test_the_benchmark_prints_its_figures(capsys):
    main(["--experiments", "1", "--shards", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and lines[1].startswith("interpreter: ")
    assert re.fullmatch(r"1 experiments in 2 shards: \d+ jobs", lines[-3])
    assert re.fullmatch(r"snakemake -n: \S+ s, processor time \S+ s", lines[-2])
    baseline = r"Snakemake alone, as many jobs: \S+ s, processor time \S+ s; ratio \d+\.\d\d"
    assert re.fullmatch(baseline, lines[-1])


def test_the_baseline_has_as_many_jobs(tmp_path):
    output, _, _ = plan_baseline(9, tmp_path)
    assert re.search(r"^total +9$", output, re.M) and re.search(r"^job +8$", output, re.M)


@pytest.mark.slow
def test_twenty_experiments_in_64_shards_are_planned_in_20_seconds(tmp_path):
    output, _, processor = plan_jobs(configuration(20, 64), tmp_path)
    assert "generate_cams          1280" in re.sub(r" {2,}", "          ", output)
    assert processor < 20  # not wall time, which depends on what else the machine does
