"""Checks every stage and measures its speed on this machine's GPU, in at most ten minutes.

``make gpu-check`` (or ``python -m benchmarks.gpu_check``) needs no Snakemake, no pydensecrf and no network. Each part
runs in its own process, with its own time limit; one that fails or takes too long does not stop the others. After each
part, ``gpu_check.md`` and ``gpu_check.json`` are written again; the parts' output is in ``gpu_check.log``. The exit
status is 0 if all parts passed.

With ``--device cpu``, or ``--small``, sizes are small: this shows within minutes that the check itself runs, but its
figures mean nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu_check import needed

REPOSITORY = Path(__file__).parents[2]


class Planned(NamedTuple):
    """A part of the check."""

    about: str
    limit: float
    """Seconds after which it is stopped."""
    function: str
    """The function that yields its rows, as ``module:name``."""


PARTS = {
    name: Planned(about, limit, f"benchmarks.gpu_check.{name}:rows")
    for name, (about, limit) in {
        "stages": ("every stage against the CPU", 150),
        "resumed": ("killed and resumed with deterministic algorithms", 120),
        "advcam": ("AdvCAM against the authors' procedure", 120),
        "maps": ("multi-scale class maps", 60),
        "training": ("training steps", 180),
        "walk": ("the random walk", 60),
        "prediction": ("label maps by a segmenter", 60),
    }.items()
}
"""The parts in the order in which they run."""
WHOLE = 570
"""Seconds for all parts on a GPU; no part uses the time of a later one (:func:`limit_of`)."""
PATIENCE = 10
"""Factor for all time limits on a CPU."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts, and write the results after each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--small", action="store_true", help="small sizes, as always with --device cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each part (default: all cores)")
    parser.add_argument("--limit", type=float, help=f"seconds for all parts (default: {WHOLE}; on a CPU {PATIENCE}x)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "gpu_check", help="folder to write to")
    options = parser.parse_args(arguments)
    options.limit = options.limit or WHOLE * (PATIENCE if options.device == "cpu" else 1)
    with tempfile.TemporaryDirectory() as temporary:
        end = time.monotonic() + options.limit
        environment = _environment(Path(temporary))
        machine = _machine(options.device, environment)
        sys.exit(run_parts(options, machine, environment, end, Path(temporary)))


def run_parts(
    options: argparse.Namespace, machine: Mapping[str, str], environment: Mapping[str, str], end: float, scratch: Path
) -> int:
    """Run the parts one after the other; the last line explains the returned exit status."""
    # Imported here because its packages may be missing until they are checked.
    from benchmarks.gpu_check.findings import NOT_DONE, PASSED, Part, as_markdown, write_findings

    parts = [Part(name, PARTS[name].about) for name in options.parts]
    on_cpu = options.device == "cpu"
    small, patience = options.small or on_cpu, PATIENCE if on_cpu else 1
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / "gpu_check.log", "wb") as log:
        write_findings(options.out, machine, parts)
        for number, part in enumerate(parts):
            limit = limit_of([later.name for later in parts[number:]], end - time.monotonic(), patience)
            if limit <= 0:
                part.status, part.reason = NOT_DONE, f"no time was left of the {options.limit:g} s for all parts"
            else:
                log.write(f"\n== {part.name}\n".encode())
                log.flush()
                given = ["--device", options.device, "--threads", str(options.threads), *(["--small"] if small else [])]
                start = time.monotonic()
                status = _run(PARTS[part.name].function, scratch / part.name, given, environment, limit, log.fileno())
                part.seconds = time.monotonic() - start
                _judge(part, scratch / part.name, status, limit)
            write_findings(options.out, machine, parts)
            reason = f": {part.reason}" if part.reason else ""
            print(f"{part.name}: {part.status} ({part.seconds:.0f} s){reason}", flush=True)
    print(f"\n{as_markdown(machine, parts)}")
    wrong = [part for part in parts if part.status != PASSED]
    where = options.out / "gpu_check.md"
    if not wrong:
        print(f"gpu-check: all parts passed on {machine['device']}; the tables are in {where}")
        return 0
    names = "; ".join(f"{part.name} ({part.reason})" for part in wrong)
    print(
        f"gpu-check: {len(wrong)} of {len(parts)} parts did not pass on {machine['device']}: {names}. The tables are "
        f"in {where}, and the parts' output is in gpu_check.log in the same folder",
        file=sys.stderr,
    )
    return 1


def limit_of(names: Sequence[str], left: float, patience: float = 1) -> float:
    """Seconds for the first of the remaining parts: its own limit, or its share if the time is too short for all.

    Args:
        names: this part and all later ones.
        left: remaining seconds.
        patience: factor for a part's own limit.
    """
    own = [PARTS[name].limit for name in names]
    return min(own[0] * patience, left * own[0] / sum(own))


def _judge(part, rows_file: Path, status: int | None, limit: float) -> None:  # type: ignore[no-untyped-def]
    """Set the result of a part.

    Args:
        part: a :class:`benchmarks.gpu_check.findings.Part`, changed in place.
        rows_file: the part's output.
        status: exit status of its process; None if it was stopped.
        limit: its time limit, seconds.
    """
    from benchmarks.gpu_check.findings import FAILED, NOT_DONE, PASSED, read_rows

    part.rows = read_rows(rows_file)
    if status is None:
        part.status, part.reason = NOT_DONE, f"stopped after {limit:.0f} s, with {len(part.rows)} rows done"
    elif status:
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        part.status, part.reason = FAILED, f"its process ended with {how}"
    elif part.faults:
        first = part.faults[0]
        others = f", and {len(part.faults) - 1} more" if len(part.faults) > 1 else ""
        part.status, part.reason = FAILED, f"{first.what}: {first.fault}{others}"
    else:
        part.status = PASSED


def _run(
    function: str, rows: Path, given: Sequence[str], environment: Mapping[str, str], limit: float, log: int
) -> int | None:
    """Run a part's process; returns its exit status, or None if it was stopped."""
    command = [sys.executable, "-m", "benchmarks.gpu_check.part", function, str(rows), *given]
    # In its own session, so that the processes that it started can be stopped with it.
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=dict(environment), stdout=log, stderr=log, start_new_session=True
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(temporary: Path) -> dict[str, str]:
    """The environment of the parts, with all packages; exits if some are missing."""
    lacking, path = needed.missing(), [str(REPOSITORY)]
    if lacking and any(needed.CARRIED.glob("*.whl")):
        print(f"{sys.executable} lacks {', '.join(lacking)}; using the wheels in {needed.CARRIED}", flush=True)
        try:
            needed.install_carried(temporary / "packages")
        except subprocess.CalledProcessError:
            sys.exit(f"pip could not install the wheels in {needed.CARRIED} for {sys.executable}")
        path.insert(0, str(temporary / "packages"))
        lacking = needed.missing()
    if lacking:
        sys.exit(needed.how_to_install(lacking))
    path += filter(None, [os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}


def _machine(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Facts about the machine; exits if it has no such device."""
    command = [sys.executable, "-m", "benchmarks.gpu_check.machine", device]
    ended = subprocess.run(command, cwd=REPOSITORY, env=dict(environment), text=True, stdout=subprocess.PIPE)
    if ended.returncode:
        sys.exit(2)  # it has printed the reason
    facts: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
    optional = {"pydensecrf": needed.has_crf(), "timm": needed.has_timm()}
    if not all(optional.values()):
        facts["without"] = ", ".join(name for name, there in optional.items() if not there)
    return facts


if __name__ == "__main__":
    main()
