"""One list of requirements: pyproject.toml's; what repeats it is held in step."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
tomllib = pytest.importorskip("tomllib")


def test_the_conda_environment_asks_for_what_pyproject_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((REPOSITORY / "envs/wsss.yaml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert sorted(pip) == sorted(r for r in project["dependencies"] if not r.startswith("snakemake"))
    python = next(entry for entry in environment["dependencies"] if str(entry).startswith("python "))
    assert python == f"python {project['requires-python']}"


def test_the_core_imports_without_snakemake_and_configuration_without_torch():
    for path in (REPOSITORY / "wsss_core").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_planning_does_not_import_torch():
    code = "import wsss_core.config, wsss_core.plan, sys; sys.exit('torch' in sys.modules)"
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
