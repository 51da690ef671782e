"""A folder in which the manual's commands can be run as they stand, without writing into the repository."""

import os
import subprocess
import sys
from pathlib import Path

from .markdown import REPOSITORY

SEEN = ("Snakefile", "config.yaml", "configs", "docs", "profiles", "rules", "workflow_scripts", "wsss_core")


class Checkout:
    """Links to what a checkout has; results and settings are its own."""

    def __init__(self, folder: Path) -> None:
        """Make the links in ``folder``."""
        self.folder = folder
        for name in SEEN:
            (folder / name).symlink_to(REPOSITORY / name)

    def run(self, command: str, seconds: float = 600) -> str:
        """What a command line says; ``snakemake`` and ``python`` are those of this process.

        Raises:
            AssertionError: it fails.
        """
        programs = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(REPOSITORY)}
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}"
        return result.stdout
