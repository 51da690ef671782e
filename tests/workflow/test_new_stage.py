"""A stage of one's own is a row of the table, a rule, a script and a function; the target comes by itself."""

import json
import os
import shutil
import subprocess
import sys

from .workflow import REPOSITORY, Workflow, small_demo

ROW = """    "class_counts": Stage(
        "count_classes", RuleResources(), files=("counts.json",), upstream=("dataset",)
    ),
"""
RULE = """

rule count_classes:
    input:
        **ask.index("class_counts"),
    output:
        counts=f"{FOLDER}/class_counts/{{artifact}}/counts.json",
    log:
        ask.log("count_classes/{artifact}"),
    threads: ask.threads("count_classes")
    resources:
        **ask.resources("count_classes"),
    params:
        identity=ask.identity("class_counts"),
    script:
        "../workflow_scripts/count_classes.py"
"""
SCRIPT = """from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.datasets.count_classes import count_classes
    from wsss_core.datasets.index import read_index

    count_classes(read_index(snakemake.input.index, snakemake.input.classes), Path(snakemake.output.counts))
"""
FUNCTION = """from wsss_core.files.atomic import write_json


def count_classes(index, counts_json):
    labels = ";".join(index.columns["labels"]).split(";")
    write_json(counts_json, {name: labels.count(name) for name in index.classes})
"""


def test_a_stage_is_a_row_a_rule_a_script_and_a_function(tmp_path):
    copy = tmp_path / "repository"
    for part in ("rules", "workflow_scripts", "wsss_core", "captions", "envs", "profiles"):
        shutil.copytree(REPOSITORY / part, copy / part)
    shutil.copy(REPOSITORY / "Snakefile", copy)
    table = copy / "wsss_core/config/stages.py"
    table.write_text(table.read_text().replace('    "backbone": Stage(', ROW + '    "backbone": Stage('))
    rules = copy / "rules/dataset.smk"
    rules.write_text(rules.read_text() + RULE)
    (copy / "workflow_scripts/count_classes.py").write_text(SCRIPT)
    (copy / "wsss_core/datasets/count_classes.py").write_text(FUNCTION)

    workflow = Workflow(tmp_path / "work", small_demo("cam"))
    workflow.folder.mkdir()
    options = workflow.options("class_counts")
    options[options.index("--snakefile") + 1] = str(copy / "Snakefile")
    command = [sys.executable, "-m", "snakemake", *options]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    result = subprocess.run(
        command, env=environment, cwd=copy, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == 0, result.stdout
    (counts,) = workflow.results.glob("class_counts/*/counts.json")
    assert sum(json.loads(counts.read_text()).values()) >= 90
    assert json.loads((counts.parent / "provenance.json").read_text())["stage"] == "class_counts"
