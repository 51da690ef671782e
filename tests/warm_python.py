"""Scripts and Snakemake in forks of ``warm_server.py``, which start at once."""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path


class WarmProcess:
    """A fork of the server; what tests use of ``subprocess.Popen``."""

    def __init__(self, arguments: list[str], pid: int, status: Path) -> None:
        """Take the process's id, and the file that its exit status comes in."""
        self.args, self.pid, self.returncode = arguments, pid, None
        self._status = status

    def poll(self) -> int | None:
        """The exit status, if it has ended; negative: the signal that ended it."""
        if self.returncode is None and self._status.exists():
            self.returncode = int(self._status.read_text())
            self._status.unlink()
        if self.returncode is None and _server().poll() is not None:
            raise RuntimeError("tests/warm_server.py has ended, and what it ran with it")
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """Wait until it has ended; its exit status.

        Raises:
            subprocess.TimeoutExpired: it took longer.
        """
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it, if it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and the server is about to say so
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Kill it, if it has not ended, and all that it has started."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        self.send_signal(signal.SIGKILL)


def start(arguments: list[str], output: Path, umask: int = 0o022) -> WarmProcess:
    """Start a command line in today's folder and environment, as the leader of a session.

    Args:
        arguments: a script and its arguments; or those of ``snakemake``, that first.
        output: file for standard output and errors.
        umask: its mask for the modes of new files.
    """
    output.write_bytes(b"")
    status = output.with_suffix(".status")
    status.unlink(missing_ok=True)
    request = {
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "output": str(output.absolute()),
    }
    server = _server()
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    if not answer:
        raise RuntimeError("tests/warm_server.py has ended; its last words are in the tests' output")
    return WarmProcess(arguments, int(answer), status)


@cache
def _server() -> "subprocess.Popen[str]":
    """One for all tests of a process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm_server"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.wait)
    atexit.register(server.stdin.close)  # runs first
    return server
