"""A SLURM of two nodes on this machine, with GPUs that are only names, for as long as the tests run.

Debian's packages are enough (``apt-get install --no-install-recommends slurm-wlm munge``). The daemons are
children of the tests, know nothing of systemd, and keep everything in one folder; nothing in /etc is read.
"""

import ctypes
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "srun")
DAEMON_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NODES = {"n1": 2, "n2": 1}
"""The nodes, and how many GPUs each one has."""
PARTITION, GPU_PARTITION, GPU_MODEL = "short", "accelerated", "imagined"

CONFIGURATION = """\
ClusterName=wsss
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
# Plugins that ask nothing of the machine: no control groups, no pinning, no MPI, no accounting.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
# Memory is watched by the daemon itself: a job over its request is ended.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# The nodes have what is written here, whatever the machine has.
SlurmdParameters=config_overrides
# A request that no node can meet is refused, instead of waiting for ever.
EnforcePartLimits=ALL
# Ended jobs stay to be looked at.
MinJobAge=86400
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
KillWait=30
SlurmdTimeout=6
ReturnToService=2
{nodes}
PartitionName={partition} Nodes=ALL Default=YES MaxTime=30 State=UP
PartitionName={gpu_partition} Nodes=ALL MaxTime=30 State=UP
"""


class ClusterError(Exception):
    """The cluster did not come up."""


@dataclass
class Job:
    """What the controller knows of a job."""

    number: int
    fields: dict[str, str]

    @property
    def state(self) -> str:
        """PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, ..."""
        return self.fields["JobState"]

    @property
    def rule(self) -> str:
        """Name of the workflow's rule, from the comment that Snakemake gave the job."""
        return re.sub(r"^rule_|_wildcards_.*$", "", self.fields.get("Comment", ""))

    @property
    def gpus(self) -> int:
        """GPUs asked for."""
        found = re.search(r"gres:gpu(?::\w+)?:(\d+)", self.fields.get("TresPerJob", ""))
        return int(found[1]) if found else 0


class Cluster:
    """The daemons, and the client commands that talk to them.

    Args:
        folder: everything lies here; the path has to be short (it holds a socket).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["WSSS_FAKE_GPUS"] = ""  # jobs with GPUs that are only names compute on the CPU
        self.environment["PATH"] = os.pathsep.join([str(folder / "bin"), DAEMON_PATH])

    def start(self) -> None:
        """Start the daemons and wait until both nodes are ready for work.

        Raises:
            ClusterError: they did not get ready; with what their logs say.
        """
        self.folder.chmod(0o755)  # munge refuses a socket that not everybody could reach
        self._write_files()
        self._start_daemon(
            *("munged", "--foreground", f"--key-file={self.folder}/munge.key", f"--socket={self.folder}/munge.socket"),
            *(f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log"),
            f"--seed-file={self.folder}/munge.seed",
        )
        self._wait_until_ready("munged", (self.folder / "munge.socket").exists)
        self._start_daemon("slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node_daemon(node)
        self._wait_until_ready("slurmctld", self._nodes_are_idle)

    def start_node_daemon(self, node: str) -> None:
        """Start a node's slurmd."""
        self._start_daemon("slurmd", "-D", "-N", node, name=node)

    def kill_node_daemon(self, node: str) -> None:
        """Kill -9 a node's slurmd; what runs on the node runs on, and nobody hears of it."""
        self.daemons[node].kill()
        self.daemons[node].wait()

    def stop(self) -> None:
        """End all jobs and daemons, and wait until they are gone; processes that stay are killed, by their id."""
        if self.daemons:
            self.cancel_all()
            wait_until(lambda: not self.processes(), seconds=15)  # they report to the daemons, and then go
        for process in reversed(self.daemons.values()):
            process.terminate()
        for process in self.daemons.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for left in self.processes():
            left.kill()

    def cancel_all(self) -> None:
        """Cancel all jobs, if the controller still listens."""
        command = ["timeout", "10", "scancel", "--user", getpass.getuser()]
        subprocess.run(command, env=self.environment, capture_output=True)

    def run(self, *command: str) -> str:
        """The output of a client command. It would wait for ever for a controller that is gone: not here."""
        result = subprocess.run(["timeout", "20", *command], env=self.environment, text=True, capture_output=True)
        assert result.returncode == 0, f"{' '.join(command)}: {result.stdout}{result.stderr}"
        return result.stdout

    def jobs(self, state: str = "", rule: str = "") -> list[Job]:
        """All jobs the controller remembers, oldest first, of one state and rule if wanted."""
        found = []
        for line in self.run("scontrol", "--oneliner", "show", "job").splitlines():
            fields = dict(re.findall(r"(\S+?)=(\S*)", line))
            if "JobId" in fields:
                found.append(Job(int(fields["JobId"]), fields))
        return [job for job in found if state in ("", job.state) and rule in ("", job.rule)]

    def processes(self) -> list[psutil.Process]:
        """What runs as a job of this cluster, or watches one, or has submitted one."""
        daemons = {process.pid for process in self.daemons.values()}
        return [process for process in psutil.process_iter() if process.pid not in daemons and self._is_ours(process)]

    def submit_lines(self, rule: str) -> list[str]:
        """What ``sbatch`` was called with for the jobs of a rule, up to the command that is to be run."""
        lines = (self.folder / "submitted").read_text().splitlines()
        return [line.partition("--wrap")[0] for line in lines if f"--comment rule_{rule}" in line]

    def _write_files(self) -> None:
        for name in ("bin", "devices", "state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        ports = free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=20000 "
            f"Gres=gpu:{GPU_MODEL}:{gpus} State=UNKNOWN"
            for (node, gpus), port in zip(NODES.items(), ports[1:], strict=True)
        ]
        configuration = CONFIGURATION.format(
            **{"folder": self.folder, "user": getpass.getuser(), "controller_port": ports[0]},
            **{"nodes": "\n".join(nodes), "partition": PARTITION, "gpu_partition": GPU_PARTITION},
        )
        (self.folder / "slurm.conf").write_text(configuration)
        # slurmd believes in a GPU when its file is a character device, as /dev/null is.
        for number in range(max(NODES.values())):
            (self.folder / f"devices/nvidia{number}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(
            "".join(
                f"NodeName={node} Name=gpu Type={GPU_MODEL} Flags=nvidia_gpu_env "
                f"File={self.folder}/devices/nvidia[0-{gpus - 1}]\n"
                for node, gpus in NODES.items()
            )
        )
        # The submit lines are kept, as the controller does not show all that stood there.
        self._write_command("sbatch", f'printf "%s " "$@" >> {self.folder}/submitted; echo >> {self.folder}/submitted')
        # Within a job Snakemake takes all SLURM_* out of the environment before it calls srun, SLURM_CONF as well,
        # and here is no /etc/slurm/slurm.conf to fall back on.
        self._write_command("srun", f"export SLURM_CONF={self.folder}/slurm.conf")

    def _write_command(self, name: str, first: str) -> None:
        """A command that does something before it becomes SLURM's of the same name."""
        command = self.folder / "bin" / name
        command.write_text(f'#!/bin/sh\n{first}\nexec {shutil.which(name, path=DAEMON_PATH)} "$@"\n')
        command.chmod(0o755)

    def _start_daemon(self, program: str, *arguments: str, name: str = "") -> None:
        with open(self.folder / f"{name or program}.out", "ab") as output:
            self.daemons[name or program] = subprocess.Popen(
                [program, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _nodes_are_idle(self) -> bool:
        states = subprocess.run(
            ["timeout", "3", "sinfo", "--noheader", "--Node", "--partition", PARTITION, "--format=%T"],
            env=self.environment,
            text=True,
            capture_output=True,
        )
        return states.stdout.split() == ["idle"] * len(NODES)

    def _wait_until_ready(self, name: str, ready: Callable[[], bool]) -> None:
        if not wait_until(ready, seconds=30, failed=lambda: self.daemons[name].poll() is not None):
            logs = [f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in self.folder.glob("*.[lo]*")]
            raise ClusterError("SLURM did not come up\n" + "\n".join(logs))

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Known by the configuration in its environment; slurmstepd writes its title over that, but keeps a log.
            if process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                return True
            return process.name() == "slurmstepd" and any(
                file.path.startswith(f"{self.folder}/") for file in process.open_files()
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def missing_programs() -> list[str]:
    """SLURM's and munge's programs that are not installed here."""
    return [program for program in PROGRAMS if shutil.which(program, path=DAEMON_PATH) is None]


def free_ports(number: int) -> list[int]:
    """TCP ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def wait_until(condition: Callable[[], Any], seconds: float, failed: Callable[[], bool] = lambda: False) -> Any:
    """Poll until ``condition()`` is true, ``failed()`` is, or the time is over; the condition's last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end and not failed():
        time.sleep(0.25)
    return value


def _die_with_parent() -> None:
    """Also when the tests are killed, their daemons shall go (Linux: prctl(PR_SET_PDEATHSIG))."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
