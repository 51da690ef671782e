"""The one entry point: it lists its commands, and each says with an example what it takes."""

import argparse
import importlib
import shlex
import subprocess
import sys

import pytest

from wsss_core.__main__ import COMMANDS, PROGRAM, main


def run(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)


def test_without_a_command_all_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed and what in listed for name, what in COMMANDS.items())


def test_a_command_that_does_not_exist_is_answered_with_the_nearest(capsys):
    assert main(["sow"]) == 2
    assert "there is no command 'sow'; did you mean 'show'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_it_takes(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    shown = capsys.readouterr().out
    examples = [line.strip() for line in shown.splitlines() if line.startswith(f"    {PROGRAM} {name} ")]
    assert stopped.value.code == 0 and examples
    command = importlib.import_module(f"wsss_core.commands.{name.replace('-', '_')}")
    for example in examples:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        parser.parse_args(shlex.split(example.removeprefix(f"{PROGRAM} {name} ")))


def test_listing_the_commands_imports_none_of_them():
    done = run("wsss_core")
    assert done.returncode == 0
    code = "import sys, wsss_core.__main__ as m; m.main([]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not {"torch", "numpy", "pydantic"} & set(done.stderr.split())


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch, capsys):
    from wsss_core.commands import show
    from wsss_core.files.atomic import write_text

    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(show, "add_arguments", lambda parser: None)
    monkeypatch.setattr(show, "run", lambda options: write_text(tmp_path / "folder", "text"))
    assert main(["show"]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'folder'}: cannot be read or written: Is a directory\n"
    monkeypatch.setattr(show, "run", lambda options: int("a fault of the program"))
    with pytest.raises(ValueError):
        main(["show"])


@pytest.mark.parametrize(
    "former, now",
    [
        (["wsss_core.report", "show"], "show"),
        (["wsss_core.importing.pretrained", "import"], "import-weights"),
        (["wsss_core.networks.pretrained", "import"], "import-weights"),
    ],
)
def test_former_commands_still_work_and_say_what_they_are_now(former, now):
    done = run(*former, "--help")
    assert done.returncode == 0 and f"usage: {PROGRAM} {now} " in done.stdout
    assert "the old name goes with the next release" in done.stderr
