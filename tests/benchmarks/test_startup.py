import re

import pytest

from benchmarks import startup
from benchmarks.stage_times import as_table, scripts_of_rules, stage_times
from benchmarks.startup import REPOSITORY, SCRIPTS, imports_of, jobs_planned, pretend, snakemake
from tests.benchmarks.figures import figures
from wsss_core.errors import UserError

DONE = "2026-11-21 08:32:36,001 INFO done in {} s\n"


def finished_job(results, rule, name, whole, within):
    """A job's benchmark file and log, as a run leaves them."""
    for folder, suffix, text in (
        ("benchmarks", ".tsv", f"s\th:m:s\tcpu_time\n{whole}\t0:00:01\t1\n"),
        ("logs", ".log", DONE.format(within)),
    ):
        path = results / folder / rule / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_times_of_a_run_by_rule(tmp_path):
    finished_job(tmp_path, "predict", "a.000-of-002", 10.0, 9.5)
    finished_job(tmp_path, "predict", "a.001-of-002", 12.0, 11.0)
    finished_job(tmp_path, "summarise", "all", 2.0, 1.8)
    finished_job(tmp_path, "of_another_program", "x", 2.0, 1.8)
    rows = stage_times(tmp_path, {"predict": 1.25, "summarise": 1.0})
    assert [(row.rule, row.jobs, row.whole) for row in rows] == [("predict", 2, 11.0), ("summarise", 1, 2.0)]
    assert rows[0].outside == pytest.approx((0.75 + 1.25) / 11)
    table = as_table(rows)
    assert "| predict | 2 | 11.0 | 0.8 | 1.2 | 18 % |" in table
    assert "| summarise | 1 | 2.0 | 0.2 | 1.0 | 60 % (!) |" in table
    assert table.splitlines()[-1] == "| all | 3 | | | | 22 % |"


def test_a_folder_that_is_no_runs_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"has no benchmarks/<rule>/\*.tsv"):
        stage_times(tmp_path, {})


def test_every_script_belongs_to_a_rule():
    scripts = scripts_of_rules(REPOSITORY / "rules")
    assert set(scripts.values()) == {path.stem for path in SCRIPTS.glob("*.py")}
    assert scripts["predict_with_probabilities"] == "predict"


def test_imports_within_a_job_are_found():
    assert "from wsss_core.cams.generate_cams import generate_cams" in imports_of([SCRIPTS / "generate_cams.py"])


def test_what_is_planned_can_be_pretended(tmp_path):
    output, cost = snakemake(tmp_path, "--dry-run")
    jobs = jobs_planned(output)
    assert jobs["generate_creatures"] == 1 and jobs["generate_cams"] > 1 and cost.processor > 0
    pretend(output, tmp_path)
    output, _ = snakemake(tmp_path, "--dry-run", "--rerun-triggers", "mtime")
    assert sum(jobs_planned(output).values()) == 0, output


@pytest.mark.slow
def test_prints_machine_and_figures(capsys):
    startup.main(["--experiments", "1", "--shards", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    for part in ("imports of everything", "imports of predict", "one more job", "(0 jobs left)", "1 experiments in 2"):
        assert any(part in line for line in lines), part
    assert re.search(r"mean of \d+$", lines[-2])
    ratio, deviation = figures(lines[-1])
    assert ratio > 1 and deviation == 0
