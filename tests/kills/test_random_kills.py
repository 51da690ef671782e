"""Any job killed at any moment, then the same command again: the same bytes, and little lost."""

import random
import re
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from tests.workflow.workflow import Workflow, job_processes, small_demo

RULES = {
    "generated": "generate_creatures",
    "dataset": "index_dataset",
    "masks": "index_masks",
    "backbone": "prepare_backbone",
    "classifier": "train_classifier",
    "cams": "generate_cams",
    "threshold": "choose_threshold",
    "refined_seeds": "refine_seeds",
    "affinity_labels": "make_affinity_labels",
    "affinity": "train_affinity",
    "walked_cams": "spread_cams",
    "pseudo_labels": "make_pseudo_labels",
    "segmenter": "train_segmenter",
    "predictions": "predict",
}
"""By stage, the rule that makes its artifacts."""
REPORTS = {
    "cams/*/scores.csv": "score_cams",
    "pseudo_labels/*/labels.scores.csv": "score_label_maps",
    "overview.png": "draw_overview",
    "experiments/*/links.json": "link_experiment",
    "summary.csv": "summarise",
}
"""By file, the rule that makes it."""
DECLARED = re.compile(
    r"weights\.safetensors|training\.csv|index\.csv|masks\.csv|classes\.json|threshold\.json|shards/.*\.h5|JPEGImages|ImageSets"
    r"|labels/\d{3}-of-\d{3}\.csv"
)
"""Files of an artifact that its rule declares."""
PASSING = re.compile(r"\.partial|\.writing-|provenance|scores\.csv")
"""In names of files that are not the rule's result."""
WAYS = ("kill the job", "warn the job", "kill everything")


@dataclass
class Job:
    """A job whose result is made again, while it is being killed."""

    rule: str
    work: Path
    """The artifact's folder, or the only file."""
    seconds: float
    """How long it took when nothing happened to it."""

    def content(self) -> dict[str, bytes]:
        """The result's bytes, by file."""
        files = [self.work] if self.work.is_file() else [path for path in self.work.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files if self.work.is_file() or not PASSING.search(str(path))}

    def declared(self) -> list[Path]:
        """The files, or folders, that Snakemake knows of."""
        if self.work.is_file():
            return [self.work]
        return [path for path in self.work.rglob("*") if DECLARED.fullmatch(str(path.relative_to(self.work)))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("kills"), small_demo("advcam"))
    workflow.config["cams"]["advcam"]["threshold"] = {"best_on": "train"}  # so that there is a job that chooses it
    workflow.run()
    return workflow


def logs_of(workflow: Workflow, rule: str) -> list[str]:
    """What the jobs of a rule have said."""
    folder = workflow.results / "logs"
    return [path.read_text() for path in [*folder.glob(f"{rule}.log"), *folder.glob(f"{rule}/*.log")]]


def jobs_of(workflow: Workflow) -> dict[str, Job]:
    """A job of each rule."""

    def job(rule, pattern):
        logs = logs_of(workflow, rule)
        seconds = max(float(re.findall(r"done in ([\d.]+) s", log)[-1]) for log in logs)
        return Job(rule, max(workflow.results.glob(pattern)), seconds)

    of_artifacts = {rule: job(rule, f"{stage}/*") for stage, rule in RULES.items()}
    return of_artifacts | {rule: job(rule, pattern) for pattern, rule in REPORTS.items()}


def strike(workflow: Workflow, job: Job, targets: list[str], way: str, share: float) -> None:
    """Start the job, strike after this share of its time, and wait until all is over."""
    snakemake = workflow.start(*targets)
    processes: list[psutil.Process] = []
    while not processes and snakemake.poll() is None:
        time.sleep(0.005)
        with suppress(psutil.NoSuchProcess):
            processes = job_processes(snakemake, job.rule)
    time.sleep(share * (job.seconds + 1))
    if way == "kill everything":
        with suppress(psutil.NoSuchProcess):
            processes = [psutil.Process(snakemake.pid), *psutil.Process(snakemake.pid).children(recursive=True)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM if way == "warn the job" else signal.SIGKILL)
    psutil.wait_procs(processes, timeout=60)
    snakemake.wait(timeout=120)


def progress_of(job: Job) -> str | None:
    """What the log of a rerun has to say, by what the struck run has left."""
    for partial in job.work.glob(".partial/*"):
        if any(partial.glob("finished-*")):
            return None  # struck at the very end, when all files may have been finished, or only some of them
        if (partial / "checkpoint.pt").exists():
            state = torch.load(partial / "checkpoint.pt", weights_only=True)
            return f"continuing after epoch {len(state['curve'])} and {state['step']} steps"
        if blocks := len(list(partial.glob("block-*.h5"))):
            return f"continuing after {min(32 * blocks, 80)} images"
        if (partial / "finished.txt").exists() and (done := (partial / "finished.txt").read_text().count("\n")):
            return f"continuing after {done} images"
    return None


def strike_and_repair(workflow: Workflow, job: Job, way: str, share: float) -> None:
    """Make the job's result again, struck once, and compare; then put the first result back."""
    expected, declared = job.content(), job.declared()
    targets = [str(path.relative_to(workflow.folder)) for path in declared]
    aside = job.work.with_name(f"aside-{job.work.name}")
    job.work.rename(aside)
    try:
        strike(workflow, job, targets, way, share)
        there = [path for path in declared if path.is_file()]
        assert all(path.read_bytes() == expected[str(path)] for path in there)
        told = None if there else progress_of(job)
        if way == "warn the job":
            assert all("stopped by SIGTERM" in log or "done in" in log for log in logs_of(workflow, job.rule))
            assert not list(job.work.parent.rglob(".writing-*"))
        if way == "kill everything":
            workflow.run("--unlock")
        workflow.run(*targets)
        assert job.content() == expected
        assert told is None or any(told in log for log in logs_of(workflow, job.rule)), told
    finally:
        shutil.rmtree(job.work) if job.work.is_dir() else job.work.unlink(missing_ok=True)
        aside.rename(job.work)


@pytest.mark.parametrize(
    ("rule", "way"),
    [
        ("train_classifier", "warn the job"),
        ("generate_cams", "kill everything"),
        ("make_affinity_labels", "warn the job"),
        ("train_affinity", "kill the job"),
        ("spread_cams", "warn the job"),
        ("make_pseudo_labels", "kill the job"),
        ("predict", "kill everything"),
    ],
)
def test_a_job_struck_at_a_random_moment(finished, rule, way):
    strike_and_repair(finished, jobs_of(finished)[rule], way, random.random())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_strikes_at_random_moments_of_all_rules(finished):
    jobs = list(jobs_of(finished).values())
    for number in range(50):
        job = jobs[number % len(jobs)]
        way, share = random.choice(WAYS), random.random()
        print(f"{number}: {job.rule}, {way} after {share:.0%}", flush=True)
        strike_and_repair(finished, job, way, share)
