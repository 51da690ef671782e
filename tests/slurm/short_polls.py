"""``python short_polls.py ...`` is ``snakemake ...`` that looks after its SLURM jobs every second.

The plugin waits 10 to 180 seconds between two looks, which is right for a cluster and long for a test.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def _sleep(self: RemoteExecutor) -> None:
    await asyncio.sleep(1)


RemoteExecutor.sleep = _sleep
sys.exit(main())
