"""Commands, settings and programs that the manual shows are real.

Every block of the shell says in a comment before it how it is known to work: ``tested: FILE::TEST`` (that test runs
it), ``dry run`` (it is run here, with ``--dry-run``), ``run`` (it is run here), or ``needs: ...`` (what is not at
hand here). Whatever the comment, all of its commands have to name targets, options, files and modules that exist; so
have commands inside sentences. Blocks of Python are run, or say why not.
"""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

from tests.workflow.workflow import REPOSITORY
from wsss_core.__main__ import COMMANDS
from wsss_core.config.root import Config
from wsss_core.config.stages import STAGES

from .a_checkout import Checkout
from .markdown import SHELL, Block, blocks, code_spans, commands, name_of, pages
from .shown_files import make_shown_files

BLOCKS = [block for page in pages() for block in blocks(page)]
SHELL_BLOCKS = [block for block in BLOCKS if block.language == SHELL]
OURS = ("snakemake", "python -m", "make ", "pytest")
SHOWN = re.compile(r"^(tested: |needs: |(dry )?run$)")


def rules_and_targets():
    """Names of all rules."""
    texts = [file.read_text() for file in [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]]
    targets = {name for name, stage in STAGES.items() if stage.target}
    return targets | set(re.findall(r"^\s*(?:checkpoint|rule) (\w+):", "\n".join(texts), re.M))


def check_snakemake(words, where):
    """Options and targets of a Snakemake command exist, and so do the repository's files that it names.

    Returns:
        The targets.
    """
    parser = get_argument_parser()
    try:
        options = parser.parse_args(words)
    except SystemExit:
        raise AssertionError(f"{where}: Snakemake does not take {words}") from None
    unknown = set(options.targets or ()) - rules_and_targets()
    assert not unknown, f"{where}: no rule makes {unknown}"
    for file in options.configfile or ():
        assert not str(file).startswith("configs/") or (REPOSITORY / file).exists(), f"{where}: {file}"
    if options.workflow_profile:
        assert "/mine" in str(options.workflow_profile) or (REPOSITORY / options.workflow_profile).is_dir(), where
    assert set(options.resources or ()) <= {"gpu"}, where
    return set(options.targets or ())


def check_module(words, where):
    """``python -m MODULE ...``: the module exists and is a program, and knows the options."""
    module, *arguments = words
    if module not in ("venv", "pip"):
        assert module.startswith(("wsss_core", "benchmarks", "tests.")), f"{where}: {module}"
        specification = importlib.util.find_spec(module)
        assert specification is not None and specification.origin, f"{where}: no module {module}"
        text = Path(specification.origin).read_text()
        if specification.origin.endswith("__init__.py"):  # a package is run by its __main__.py
            text = (REPOSITORY / module.replace(".", "/") / "__main__.py").read_text()
        if module == "wsss_core" and arguments and not arguments[0].startswith("-"):
            assert arguments[0] in COMMANDS, f"{where}: there is no command {arguments[0]}"
            text += "".join(path.read_text() for path in options_of(arguments[0]))
        assert "__main__" in text or "argv" in text, f"{where}: {module} is no program"
        for option in arguments:
            name = option.partition("=")[0]
            assert not name.startswith("--") or name == "--help" or f'"{name}"' in text, (
                f"{where}: {module} has no {name}"
            )


def options_of(command):
    """The modules that declare the options of a command."""
    folder = REPOSITORY / "wsss_core" / "commands"
    others = {name.replace("-", "_") for name in COMMANDS if name != command}
    return [path for path in sorted(folder.glob("*.py")) if path.stem not in others]


def check_make(words, where):
    """The targets of ``make``, and the variables that are set, exist."""
    text = (REPOSITORY / "Makefile").read_text()
    known = {*re.findall(r"^([\w-]+):", text, re.M), *re.findall(r"\$\((\w+)\)", text)}
    assert {word.partition("=")[0] for word in words} <= known, f"{where}: make has no {words}"


def check_command(line, where):
    """Look at one command line: pipes and lists of commands part by part; Snakemake's targets in it."""
    targets = set()
    tokens = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    tokens.whitespace_split = True
    parts = [[]]
    for token in tokens:
        if set(token) <= set("|&;"):
            parts.append([])
        else:
            parts[-1].append(token)
    for words in parts:
        while words and re.fullmatch(r"\w+=.*", words[0]):
            del words[0]
        match words:
            case ["snakemake", *arguments]:
                targets |= check_snakemake(arguments, where)
            case ["python" | "python3", "-m", *arguments]:
                check_module(arguments, where)
            case ["make", *arguments]:
                check_make(arguments, where)
            case ["pytest", *arguments]:
                files = [word.partition("::")[0] for word in arguments if word.startswith("tests/")]
                assert all((REPOSITORY / file).exists() for file in files), where
    return targets


def is_template(line):
    """Whether a command has placeholders (FILE, [...]) instead of values."""
    return bool(re.search(r"\[|\.\.\.|…|<\w|\b[A-Z]{3,}\b(?!=)", line))


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str)
def test_a_block_of_commands_says_how_it_is_known_to_work(block):
    assert SHOWN.match(block.note), (
        f"{block}: put a comment before it: <!-- tested: FILE::TEST -->, <!-- needs: ... -->"
    )
    sources = ""
    if block.note.startswith("tested: "):
        for test in block.note.removeprefix("tested: ").split(", "):
            file, _, name = test.partition("::")
            path = REPOSITORY / file
            assert path.is_file(), f"{block}: there is no {file}"
            names = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
            assert name.startswith("test_") and name in names, f"{block}: {file} has no {name}"
            sources += path.read_text()
    for line in commands(block):
        targets = check_command(line, str(block))
        if sources and "commands_of" not in sources:  # which runs what the page says, whatever that is
            untested = [target for target in targets if f'"{target}"' not in sources]
            assert not untested, f"{block}: the tests that are named do not run {untested}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_inside_sentences_exist(page):
    for span in code_spans(page):
        if span.startswith(OURS) and not is_template(span):
            check_command(span, name_of(page))


def test_blocks_of_commands_are_marked_as_such():
    for block in BLOCKS:
        looks = any(line.startswith((*OURS, "git ", "pip ", "$ ")) for line in block.text.splitlines())
        assert block.language == SHELL or not looks, f"{block}: begin it with ```{SHELL}"
        assert block.language in {SHELL, "", "python", "yaml", "json", "csv"}, f"{block}: {block.language}"


@pytest.mark.parametrize("block", [b for b in SHELL_BLOCKS if b.note in ("dry run", "run")], ids=str)
def test_what_is_marked_to_be_run_runs(block, tmp_path):
    checkout = Checkout(tmp_path)
    for line in commands(block):
        checkout.run(line + (" --dry-run" if block.note == "dry run" else ""))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=str)
def test_settings_are_yaml_with_known_sections(block: Block):
    settings = yaml.safe_load(block.text)
    unknown = set(settings) - set(Config.model_fields)
    assert not unknown or block.note.startswith("part of "), (
        f"{block}: no section {unknown}; or it is <!-- part of ... -->"
    )


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
def test_programs_run_or_say_why_not(block, tmp_path, monkeypatch):
    compile(block.text, str(block), "exec")
    if block.note.startswith("file: "):
        shown = (REPOSITORY / block.note.removeprefix("file: ")).read_text()
        assert block.text.strip() == shown.strip(), f"{block}: is not {block.note}"
    elif not block.note.startswith("needs: "):
        make_shown_files(tmp_path)
        monkeypatch.chdir(tmp_path)
        exec(compile(block.text, str(block), "exec"), {"__name__": "manual"})
