"""What the SLURM profile and the rules leave to each other; without SLURM."""

import re

from tests.slurm.workflow import PROFILE, uncommented_profile
from tests.workflow.workflow import REPOSITORY, Workflow
from wsss_core.config.stages import DEFAULT_RESOURCES

RULES = "\n".join(path.read_text() for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")])


def test_the_profile_names_the_rules_that_use_a_gpu():
    with_gpu = {name for name, resources in DEFAULT_RESOURCES.items() if resources.gpu}
    assert set(uncommented_profile()["set-resources"]) == with_gpu


def test_a_rule_asks_for_resources_or_runs_where_snakemake_does():
    """The local executor runs all rules itself: nothing else shows that a rule has become a job of the queue's."""
    blocks = re.split(r"^(?= *(?:use )?rule\b)", RULES, flags=re.M)[1:]
    assert len(blocks) > 30
    for block in blocks:
        assert ("ask.resources(" in block) != ("localrule: True" in block), block


def test_only_the_profile_knows_the_cluster():
    assert not re.search(r"slurm|partition|account|\bqos\b|gpu_model", RULES)
    # Both lose files or time with SLURM: docs/slurm.md.
    assert not re.search(r"^\s*(retries|group):", RULES, re.M)
    assert "array" not in PROFILE.read_text()


def test_a_job_gets_its_cores_from_its_threads():
    assert "cpus_per_task" not in RULES + PROFILE.read_text()  # which the plugin would obey instead


def test_another_attempt_asks_for_more_memory_and_time_up_to_the_bounds(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.config["runtime"].update(device="auto", max_mem_mb=40000, max_runtime=1500)
    requested = {
        attempt: requests(workflow.run("--dry-run", "--attempt", str(attempt), "segmenter")) for attempt in (1, 2, 3)
    }
    assert [requested[n]["index_dataset"] for n in (1, 2, 3)] == [(4000, 120, 0), (8000, 240, 0), (12000, 360, 0)]
    assert [requested[n]["train_segmenter"] for n in (1, 2, 3)] == [
        (32000, 1500, 1),
        (40000, 1500, 1),
        (40000, 1500, 1),
    ]
    assert [requested[n]["train_affinity"] for n in (1, 2, 3)] == [(16000, 720, 1), (32000, 1440, 1), (40000, 1500, 1)]


def requests(output):
    """By rule: memory, time limit and GPUs of its jobs, from what a dry run says."""
    found = {}
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", output)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        amounts = dict(re.findall(r"(\w+)=(\d+)\b", re.search(r"^    resources: (.*)$", block, re.M)[1]))
        if "runtime" in amounts:
            found[rule] = (int(amounts["mem_mb"]), int(amounts["runtime"]), int(amounts.get("gpu", 0)))
    return found
