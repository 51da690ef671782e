"""Any job killed at any moment, then the same command again: the same bytes, and little lost."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from tests.workflow.workflow import TooLateError, Workflow, job_processes, wait_for

pytestmark = pytest.mark.xdist_group("kills")

RULES = {
    "generated": "generate_creatures",
    "dataset": "index_dataset",
    "masks": "index_masks",
    "backbone": "prepare_backbone",
    "classifier": "train_classifier",
    "cams": "generate_cams",
    "climb": "record_climb",
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
    "classifier/*/verdict.json": "score_classifier",
    "cams/*/scores.csv": "score_cams",
    "pseudo_labels/*/labels.scores.csv": "score_label_maps",
    "overview.png": "draw_overview",
    "experiments/*/links.json": "link_experiment",
    "summary.csv": "summarise",
}
"""By file, the rule that makes it."""
DECLARED = re.compile(
    r"weights\.safetensors|training\.csv|index\.csv|masks\.csv|classes\.json|threshold\.json|climb\.h5|shards/.*\.h5|JPEGImages|ImageSets"
    r"|labels/\d{3}-of-\d{3}\.csv"
)
"""Files of an artifact that its rule declares."""
PASSING = re.compile(r"\.partial|\.writing-|provenance|scores\.csv|images\.csv|verdict\.json")
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


Moment = Callable[["subprocess.Popen[str]"], None]
"""Waits for it, while this Snakemake runs."""


def after_share(job: Job, share: float) -> Moment:
    """The moment after this share of the job's time; its start and its end count as well."""
    return lambda _: time.sleep(share * (job.seconds + 1))


def after_progress(job: Job, amount: int) -> Moment:
    """The moment when the job has kept so much progress, and is not at its end."""
    return lambda snakemake: wait_for(lambda: progress_of(job)[0] >= amount, snakemake)


def strike(workflow: Workflow, job: Job, targets: list[str], way: str, moment: Moment) -> None:
    """Start the job, strike at the moment, and wait until all is over."""
    snakemake = workflow.start(*targets)
    processes: list[psutil.Process] = []
    while not processes and snakemake.poll() is None:
        time.sleep(0.005)
        with suppress(psutil.NoSuchProcess):
            processes = job_processes(snakemake, job.rule)
    moment(snakemake)
    if way == "kill everything":
        with suppress(psutil.NoSuchProcess):
            processes = [psutil.Process(snakemake.pid), *psutil.Process(snakemake.pid).children(recursive=True)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM if way == "warn the job" else signal.SIGKILL)
    psutil.wait_procs(processes, timeout=60)
    snakemake.wait(timeout=120)


def progress_of(job: Job) -> tuple[int, str]:
    """How many epochs, blocks or images are kept beside the result, and what the log of a rerun says of them."""
    for partial in job.work.glob(".partial/*"):
        if any(partial.glob("finished-*")):
            break  # the very end, when all files may have been finished, or only some of them
        if (partial / "checkpoint.pt").exists():
            state = torch.load(partial / "checkpoint.pt", weights_only=True)
            epochs = len(state["curve"])
            return epochs, f"continuing after epoch {epochs} and {state['step']} steps"
        if blocks := len(list(partial.glob("block-*.h5"))):
            return blocks, f"continuing after {min(32 * blocks, 80)} images"
        if (partial / "finished.txt").exists() and (done := (partial / "finished.txt").read_text().count("\n")):
            return done, f"continuing after {done} images"
    return 0, ""


def strike_and_repair(workflow: Workflow, job: Job, way: str, moment: Moment) -> str:
    """Make the job's result again, struck once, and compare; then put the first result back.

    Returns:
        What the log of the second run had to say of the first one's progress, and did say.
    """
    expected, declared = job.content(), job.declared()
    targets = [str(path.relative_to(workflow.folder)) for path in declared]
    aside = job.work.with_name(f"aside-{job.work.name}")
    job.work.rename(aside)
    try:
        strike(workflow, job, targets, way, moment)
        there = [path for path in declared if path.is_file()]
        assert all(path.read_bytes() == expected[str(path)] for path in there)
        reported = "" if there else progress_of(job)[1]
        if way == "warn the job":
            # Snakemake empties the log; an interpreter that is only starting dies without a word.
            ends = ("stopped by SIGTERM", "done in")
            assert all(not log or any(end in log for end in ends) for log in logs_of(workflow, job.rule))
            assert not list(job.work.parent.rglob(".writing-*"))
        if way == "kill everything":
            workflow.run("--unlock")
        workflow.run(*targets)
        assert job.content() == expected
        assert not reported or any(reported in log for log in logs_of(workflow, job.rule)), reported
        return reported
    finally:
        shutil.rmtree(job.work) if job.work.is_dir() else job.work.unlink(missing_ok=True)
        aside.rename(job.work)


@pytest.mark.parametrize(
    ("rule", "way", "most"),
    [
        ("train_classifier", "warn the job", 2),  # of 3 epochs
        ("generate_cams", "kill everything", 2),  # of 3 blocks
        pytest.param("make_affinity_labels", "warn the job", 40, marks=pytest.mark.slow),  # of 80 images
        pytest.param("train_affinity", "kill the job", 1, marks=pytest.mark.slow),  # of 2 epochs
        pytest.param("spread_cams", "warn the job", 2, marks=pytest.mark.slow),
        ("make_pseudo_labels", "kill the job", 40),
        pytest.param("predict", "kill everything", 5, marks=pytest.mark.slow),  # of 10 images
    ],
)
def test_a_job_struck_in_the_middle_goes_on_from_there(finished, dice, rule, way, most):
    job = jobs_of(finished)[rule]
    for _ in range(10):
        # A busy machine may let this process look again when the job is done already, or nearly: once more, then.
        with suppress(TooLateError):
            if strike_and_repair(finished, job, way, after_progress(job, dice.randint(1, most))):
                return
    pytest.fail("the job was never struck in the middle")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_strikes_at_random_moments_of_all_rules(finished, dice):
    jobs = list(jobs_of(finished).values())
    for number in range(50):
        job = jobs[number % len(jobs)]
        way, share = dice.choice(WAYS), dice.random()
        print(f"{number}: {job.rule}, {way} after {share:.0%}", flush=True)
        strike_and_repair(finished, job, way, after_share(job, share))
