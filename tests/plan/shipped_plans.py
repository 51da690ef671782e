"""Names of all artifacts that the shipped configurations plan: ``python -m tests.plan.shipped_plans`` records them.

A name ends in the digest of all that determines an artifact. So a name that changes is work done again in every results
folder: record the new ones only where that is meant, and say so in the changelog.
"""

import json
from pathlib import Path
from typing import Any

from snakemake.utils import update_config

from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan
from wsss_core.plan.sweeps import plan_sweeps

REPOSITORY = Path(__file__).parents[2]
RECORD = Path(__file__).parent / "shipped_plans.json"


def shipped_configurations() -> list[Path]:
    """All configuration files of the repository."""
    return [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "configs").rglob("*.yaml"))]


def shipped_content(file: Path) -> dict[str, Any]:
    """What a shipped file configures; a file of ``configs/ablations`` is laid over the recipe of its name."""
    if file.parent.name != "ablations":
        return read_yaml(file)
    content = read_yaml(file.parents[1] / file.name)
    update_config(content, read_yaml(file))  # as Snakemake lays the second --configfile over the first
    return content


def planned_names(file: Path) -> list[str]:
    """Stage and name of every artifact of a configuration, points of sweeps and submissions included."""
    content = shipped_content(file)
    plan = Plan(load_config(content))
    plan_sweeps(content, plan)
    return sorted(f"{artifact.stage}/{artifact.name}" for artifact in plan.artifacts())


if __name__ == "__main__":
    names = {str(file.relative_to(REPOSITORY)): planned_names(file) for file in shipped_configurations()}
    RECORD.write_text(json.dumps(names, indent=1) + "\n")
