"""Every command that the manual and the comments of shipped settings show is run in the form in which it stands.

Work that would be long is planned: ``--dry-run`` comes after all words of a Snakemake command, ``--help`` after those
of a program; ``make`` has a shell that does nothing. So a target that an option takes for a value of its own fails here
as it does for a user.
"""

import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests import warm_python
from tests.workflow.clip_files import write_clip_files
from tests.workflow.test_recipes import TREES

from .a_checkout import Checkout
from .markdown import REPOSITORY, SHELL, blocks, code_spans, commands, pages
from .test_code_blocks import is_template

PROGRAMS = ("snakemake", "python -m ", "make ")
SETTINGS = sorted(
    [REPOSITORY / "config.yaml", *(REPOSITORY / "configs").rglob("*.yaml"), *(REPOSITORY / "profiles").rglob("*.yaml")]
)
NOT_PLANNED = ("--report", "--sdm", "--unlock", "--lint")
"""Options of Snakemake that are no planning: other tests run them, or conda is needed."""
REFUSED = {
    "snakemake voc_submission": "dataset.splits.test: is missing",
    "snakemake climb_scores": "has 'score_every_step: true'",
}
"""What the demo, which a command without --configfile is for, has not."""


def commands_in_comments(text):
    """The command lines in a YAML file's comments: on lines of their own, or in backticks."""
    comments = [match[1] for line in text.splitlines() if (match := re.search(r"(?:^| )#(.*)$", line))]
    joined = re.sub(r"\\\n\s*", "", "\n".join(comments))
    for line in joined.splitlines():
        if line.startswith("   ") and line.strip().startswith(PROGRAMS):
            yield re.sub(r"\s+# .*$", "", line).strip()
    for span in re.findall(r"`([^`]+)`", joined):
        if span.startswith(PROGRAMS):
            yield " ".join(span.split())


def all_commands():
    """Every command of the manual and of comments, once, in a part of its own: ``a && b`` are two."""
    lines = [line for file in SETTINGS for line in commands_in_comments(file.read_text())]
    for page in pages():
        lines += [line for block in blocks(page) if block.language == SHELL for line in commands(block)]
        lines += [
            line for block in blocks(page) if block.language == "yaml" for line in commands_in_comments(block.text)
        ]
        lines += [span for span in code_spans(page) if span.startswith(PROGRAMS)]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|", line)]
    return sorted({part for part in parts if part.startswith(PROGRAMS) and not is_template(part)})


COMMANDS = all_commands()


def of(program):
    return [command for command in COMMANDS if command.startswith(program)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with all that planning looks for: data sets in their layouts, files of weights, my.yaml."""
    folder = tmp_path_factory.mktemp("checkout")
    for file in SETTINGS:
        config = yaml.safe_load(file.read_text())
        dataset = config.get("dataset", {})
        root = folder / dataset.get("root", "data")
        if not root.exists() and "root" in dataset:
            TREES.get(dataset["name"].removesuffix("-laptop"), folder_of_images)(root)
        for backbone in config.get("backbones", {}).values():
            if backbone.get("weights", "").endswith(".safetensors"):
                (folder / "weights").mkdir(exist_ok=True)
                (folder / backbone["weights"]).touch()
        write_clip_files(config, folder)
    shutil.copy(REPOSITORY / "configs/folder-cpu.yaml", folder / "my.yaml")
    shutil.copy(REPOSITORY / "config.yaml", folder / "advcam.yaml")
    return Checkout(folder)


def folder_of_images(root):
    (root / "images").mkdir(parents=True)
    names = [f"{number}.png" for number in range(10)]
    for name in names:
        Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(root / "images" / name)
    rows = [f"{name},{'cat' if number % 2 else 'dog'}" for number, name in enumerate(names)]
    (root / "labels.csv").write_text("\n".join(["image,label", *rows, ""]))


def said(arguments, folder, output, monkeypatch):
    """Exit status and words of a program that is run in ``folder``, by a process that has imported what it needs."""
    monkeypatch.chdir(folder)
    process = warm_python.start(arguments, output)
    try:
        status = process.wait(200)
    finally:
        process.kill_group()
    return status, output.read_text()


@pytest.mark.parametrize("command", of("snakemake"))
def test_a_snakemake_command_plans_what_it_says(command, checkout, tmp_path, monkeypatch):
    program, *words = shlex.split(command)
    if any(word in NOT_PLANNED for word in words):
        return  # tests/docs/test_code_blocks.py looks at its words
    status, output = said([program, *words, "--dry-run"], checkout.folder, tmp_path / "said.txt", monkeypatch)
    if command in REFUSED:
        assert status != 0 and REFUSED[command] in output
    else:
        assert status == 0, output[-3000:]


@pytest.mark.parametrize("command", of("python -m "))
def test_a_program_takes_the_words_that_are_shown(command, tmp_path, monkeypatch):
    _, _, module, *words = shlex.split(command)
    if module in ("venv", "pip"):
        return
    specification = importlib.util.find_spec(module)
    assert specification is not None and specification.origin is not None
    file = Path(specification.origin)
    file = file.with_name("__main__.py") if file.name == "__init__.py" else file
    assert file.exists(), f"{module} is no program"
    if "argparse" not in file.read_text():
        assert not words, f"{module} takes no options"
        return
    status, output = said([str(file), *words, "--help"], REPOSITORY, tmp_path / "said.txt", monkeypatch)
    assert status == 0 and "usage:" in output, output


@pytest.mark.parametrize("command", of("make "))
def test_make_knows_the_target(command):
    # With -n alone make still runs the lines that call make, and `make test` does so.
    words = [*shlex.split(command), "-n", "SHELL=/bin/true"]
    result = subprocess.run(words, cwd=REPOSITORY, text=True, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_commands_are_found_where_they_stand():
    assert "snakemake check_dataset --configfile configs/folder.yaml --resources gpu=1" in COMMANDS  # in a comment
    assert "snakemake --configfile configs/creatures-advcam-sweep.yaml" in COMMANDS  # in backticks there
    assert "snakemake cams --config runtime='{device: cuda}'" in COMMANDS  # in a block of the manual
    assert len(of("snakemake")) > 40 and len(of("python -m ")) > 20 and len(of("make ")) > 8


@pytest.mark.parametrize("words", [["--configfile", "my.yaml", "dataset"], ["--resources", "gpu=1", "check_dataset"]])
def test_a_target_after_an_option_of_several_values_would_be_noticed(words, checkout, tmp_path, monkeypatch):
    status, output = said(["snakemake", *words, "--dry-run"], checkout.folder, tmp_path / "said.txt", monkeypatch)
    assert status != 0, output
