"""One list of requirements: pyproject.toml's. What repeats it, and the releases that were tried, are in step."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)["project"]
spec = spec_from_file_location("update_constraints", REPOSITORY / "envs/update_constraints.py")
update_constraints = module_from_spec(spec)
spec.loader.exec_module(update_constraints)


@pytest.fixture(scope="module")
def releases():
    """By package, the release that was tried."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.+]*", pin) for pin in pins)  # no hosts, no paths
    return dict(pin.split("==") for pin in pins)


@pytest.mark.parametrize("requirement", update_constraints.requirements(PYPROJECT).values(), ids=str)
def test_a_range_ends_with_the_release_that_was_tried(requirement, releases):
    tried = Version(releases[canonicalize_name(requirement.name)])
    ends = {part.operator: part.version for part in requirement.specifier}
    assert requirement.specifier.contains(tried)
    assert Version(ends[">="]) <= tried < Version(ends["<"]) <= Version(f"{tried.major}.{tried.minor + 1}")


def test_another_release_changes_its_own_range_and_nothing_else(releases):
    assert update_constraints.with_tried_ranges(PYPROJECT, releases) == PYPROJECT
    newer = {"snakemake": "10.2.1", "pydantic": "3.0", "pytest": "9.3.1", "snakemake-executor-plugin-slurm": "3.1"}
    before, after = PYPROJECT, update_constraints.with_tried_ranges(PYPROJECT, releases | newer)
    changed = set(after.splitlines()) - set(before.splitlines())
    assert sorted(line.strip() for line in changed) == [
        '"pydantic>=2.12,<3.1",',
        '"pytest>=8.3,!=9.2.*,<9.4",  # with 9.2, xdist 3.8 takes no notice of groups',
        '"snakemake>=9.17,<10.3",',
        'slurm = ["snakemake-executor-plugin-slurm>=2.8,<3.2"]',
    ]
    assert len(after.splitlines()) == len(before.splitlines())


def test_every_package_that_is_installed_with_ours_is_constrained(releases):
    wanted = [requirement.name for requirement in update_constraints.requirements(PYPROJECT).values()]
    assert set(update_constraints.needed_by(wanted)) <= set(releases)
    assert {"pip", "setuptools", "wheel", "cython"} <= set(releases)  # which pydensecrf2 is built with


def test_the_conda_environment_has_the_releases_that_were_tried(releases):
    text = (REPOSITORY / "envs/wsss.yaml").read_text()
    pins = dict(re.findall(r"^      - (\S+)==(\S+)$", text, re.M))
    direct = {canonicalize_name(Requirement(said).name) for said in PROJECT["dependencies"]} - {"snakemake"}
    assert pins.keys() >= direct | {"triton", "sympy"}  # what torch needs in turn
    assert pins.items() <= releases.items()
    assert update_constraints.conda_environment(text, pins, releases) == text
    fewer = update_constraints.conda_environment(text, ["numpy"], {"numpy": "9.8"})
    assert fewer.endswith("  - pip:\n      - numpy==9.8\n") and fewer.startswith(text.partition("  - pip:\n")[0])
    if sys.version_info[:2] == (3, 11) and sys.platform == "linux":  # which they were written on
        assert list(pins) == update_constraints.needed_by_jobs(PYPROJECT)


def find_python(*candidates, path=None):
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    command = [REPOSITORY / "envs/find_python.sh", *candidates]
    return subprocess.run(command, text=True, capture_output=True, env=environment)


def a_python(folder, name, version):
    """A program that says it is a Python of this version, with all that is needed."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"""#!/bin/sh
[ "$1" = -V ] && {{ echo "Python 3.{version}"; exit; }}
code="import sys; sys.version_info = (3, {version}, 0)
import os.path; os.path.exists = lambda path: True
$2"
exec {sys.executable} -c "$code"
""")
    program.chmod(0o755)
    return str(program)


def test_make_finds_a_python_that_the_project_runs_on(tmp_path):
    allowed = SpecifierSet(PROJECT["requires-python"])
    programs = {version: a_python(tmp_path, f"python3.{version}", version) for version in range(9, 16)}
    found = {version: find_python(program) for version, program in programs.items()}
    suitable = [version for version in found if allowed.contains(f"3.{version}.0")]
    assert len(suitable) >= 2
    for version, result in found.items():
        assert (result.returncode == 0) == (version in suitable)
        assert result.stdout == (f"{programs[version]}\n" if version in suitable else "")
    result = find_python(*(programs[version] for version in (9, suitable[1], suitable[0])))
    assert result.stdout == f"{programs[suitable[1]]}\n"


def test_make_says_what_to_install_where_there_is_no_python(tmp_path):
    a_python(tmp_path, "python3", 10)
    result = find_python(path=f"{tmp_path}:/nonexistent")
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "is a Python 3.11 to 3." in result.stderr
    assert "python3-venv" in result.stderr and "make PYTHON=" in result.stderr


@pytest.fixture
def checkout(tmp_path):
    """A folder with what `make install` reads; pip is replaced by a program that does nothing."""
    folder = tmp_path / "a checkout"
    shutil.copytree(REPOSITORY / "envs", folder / "envs")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


def make_install(checkout, *variables):
    """Run it, but for pip; its exit status, and what it says."""
    command = ["make", "--no-print-directory", "install", "PIP=true", *variables]
    result = subprocess.run(command, cwd=checkout, text=True, capture_output=True)
    return result.returncode, result.stderr


def test_make_keeps_an_environment_and_says_when_it_does_not_fit(checkout):
    programs = checkout / ".venv/bin"
    programs.parent.mkdir()
    a_python(programs, "python", 12)
    assert make_install(checkout, "PATH=/usr/bin:/bin") == (0, "")
    other = a_python(checkout / "some where", "python3", 13)
    status, said = make_install(checkout, f"PYTHON={other}", "INSTALLED=again")
    assert status != 0 and ".venv has Python 3.12, and PYTHON is another one: 'make clean', then again" in said
    a_python(programs, "python", 10)
    status, said = make_install(checkout, "INSTALLED=once_more")
    assert status != 0 and ".venv has a Python that the project does not run on: 'make clean', then again" in said
    shutil.rmtree(programs.parent)
    status, said = make_install(checkout, f"PYTHON={a_python(checkout / 'some where', 'old python', 9)}")
    assert status != 0 and "some where/old python; install one" in said


def test_the_core_imports_without_snakemake_and_configuration_without_torch():
    for path in (REPOSITORY / "wsss_core").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_planning_does_not_import_torch():
    code = "import wsss_core.config, wsss_core.plan.plan, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_nothing_is_unpickled():
    for path in [
        file
        for folder in ("wsss_core", "workflow_scripts", "benchmarks")
        for file in (REPOSITORY / folder).rglob("*.py")
    ]:
        text = path.read_text()
        if path == REPOSITORY / "benchmarks" / "cam_store.py":  # times the reading of such files, which it has written
            text = text.replace("np.load(path, allow_pickle=True)", "", 1)
        assert "allow_pickle=True" not in text and "import pickle" not in text, path
        for call in re.findall(r"torch\.load\([^\n]*", text):
            assert "weights_only=True" in call, path


def test_scripts_are_short_and_named_after_a_rule():
    rules = "\n".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    scripts = list((REPOSITORY / "workflow_scripts").glob("*.py"))
    assert scripts
    for path in scripts:
        assert f"\nrule {path.stem}:" in rules
        assert len(path.read_text().splitlines()) < 40, path
