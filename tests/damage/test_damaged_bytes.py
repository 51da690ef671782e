"""Files with changed bytes are read, made again, or refused with a sentence that names them; no reader hangs."""

import subprocess
import sys

import pytest

from .artifacts import KINDS, outcomes


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_named(name, tmp_path):
    seen = [outcome for outcome in outcomes(KINDS[name], tmp_path, 0, 25) if not outcome.startswith("trying")]
    assert len(seen) == 25
    assert not [outcome for outcome in seen if outcome not in ("read", "refused")]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_damaged_files_are_read_or_named(name, tmp_path, dice):
    # In a process of its own, which ends itself where a file is never read to its end.
    command = [sys.executable, "-m", "tests.damage.artifacts", name, str(dice.randrange(10**6)), "400", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (command, lines[-1:], done.stderr[-2000:])
    wrong = [line for line in lines if line not in ("read", "refused") and not line.startswith("trying")]
    assert not wrong, command
