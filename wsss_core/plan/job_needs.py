"""What a rule's jobs may use (cores, memory, time, GPUs), and where their logs and costs are written."""

from pathlib import Path
from typing import Any

from wsss_core.config import Config
from wsss_core.config.stages import DEFAULT_RESOURCES, GPU_THREADS, averaging_stage
from wsss_core.jobs.gpu_memory import gpu_memory_was_full
from wsss_core.plan.artifacts import averages
from wsss_core.plan.of_wildcards import OfWildcards, Wildcards, with_signature
from wsss_core.plan.plan import Plan


class JobNeeds:
    """The part of :class:`wsss_core.plan.rules.Rules` that uses ``resources`` and ``runtime``."""

    plan: Plan
    config: Config
    folder: str
    """``results/<dataset>``."""
    on_gpus: bool
    """Whether jobs that ask for a GPU compute on one."""

    def log(self, job: str) -> str:
        """A job's log.

        Args:
            job: ``<rule>/<what distinguishes its jobs>``, with wildcards.
        """
        return f"{self.folder}/logs/{job}.log"

    def benchmark(self, job: str) -> str:
        """Where Snakemake writes a job's costs."""
        return f"{self.folder}/benchmarks/{job}.tsv"

    def threads(self, rule: str) -> int:
        """CPU cores of a job: as configured, or the default, which is different for jobs on a GPU."""
        asked = self.config.resources.get(rule, DEFAULT_RESOURCES[rule])
        if rule not in GPU_THREADS or (rule in self.config.resources and "threads" in asked.model_fields_set):
            return asked.threads
        return GPU_THREADS[rule] if asked.gpu and self.on_gpus else DEFAULT_RESOURCES[rule].threads

    def resources(self, rule: str) -> dict[str, Any]:
        """Memory and time that a job asks for, and GPUs if its rule computes on them.

        After a failure, an attempt asks for more memory and time, up to the bounds in ``runtime``; but not for more
        memory if a GPU's memory was full.
        """
        asked = self.config.resources.get(rule, DEFAULT_RESOURCES[rule])

        def growing(requested: int, most: int | None) -> Any:
            return with_signature(lambda wildcards, attempt: min(filter(None, [attempt * requested, most])))

        def memory(wildcards: Wildcards, attempt: int) -> int:
            if attempt > 1 and asked.gpu and self._gpu_was_full(rule, wildcards):
                attempt = 1
            return min(filter(None, [attempt * asked.mem_mb, runtime.max_mem_mb]))

        runtime = self.config.runtime
        resources: dict[str, Any] = {
            "mem_mb": with_signature(memory),
            "runtime": growing(asked.runtime, runtime.max_runtime),
        }
        if DEFAULT_RESOURCES[rule].gpu:
            resources["gpu"] = 0 if runtime.device == "cpu" else asked.gpu
        elif stage := averaging_stage(rule):
            resources["gpu"] = 0 if runtime.device == "cpu" else self._gpu_to_average(stage)
        return resources

    def _gpu_to_average(self, stage: str) -> OfWildcards:
        """One GPU for a job that refines scores with PAR or PAMR; a CRF computes on the CPU."""
        averaging = {artifact.name for artifact in self.plan.artifacts(stage) if averages(artifact)}
        return with_signature(lambda wildcards: int(wildcards.artifact in averaging))

    def _gpu_was_full(self, rule: str, wildcards: Wildcards) -> bool:
        """Whether the previous attempt, whose log still exists, failed because a GPU's memory was full."""
        shard = f".{wildcards.shard}-of-{wildcards.shards}" if hasattr(wildcards, "shard") else ""
        logs = Path(self.folder, "logs", rule).glob(f"*{wildcards.artifact}{shard}.log")
        return any(map(gpu_memory_was_full, logs))
