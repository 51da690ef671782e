"""Install the newest releases of all requirements here, and write down which they are; see `make update-constraints`.

Run by the Python of a new environment that has pip, setuptools and packaging. Writes

- ``constraints.txt``: the release of every package that is then installed;
- the ranges in ``pyproject.toml``: from the lower end that was there up to the releases tried (2.14.1: below 2.15);
- ``envs/wsss.yaml``: the same releases of what jobs need, for ``snakemake --sdm conda``.
"""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
PROJECT = REPOSITORY / "pyproject.toml"
CONDA = REPOSITORY / "envs" / "wsss.yaml"
HEADER = "# The releases that the tests have passed with. Written by `make update-constraints`.\n"


def requirements() -> list[Requirement]:
    """All that pyproject.toml asks for, the project's own extras left out."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    texts = [*project["dependencies"], *(text for texts in project["optional-dependencies"].values() for text in texts)]
    return [Requirement(text) for text in texts if not text.startswith(project["name"])]


def lower_end(requirement: Requirement) -> str:
    """The requirement without its upper end; releases that it leaves out stay so."""
    kept = sorted((part for part in requirement.specifier if part.operator in (">=", "!=")), key=str, reverse=True)
    return requirement.name + ",".join(map(str, kept))


def tried_range(requirement: Requirement, tried: Version) -> str:
    """The requirement from its lower end to the release that was tried: 2.14.1 is below 2.15."""
    return f"{lower_end(requirement)},<{tried.major}.{tried.minor + 1}"


def installed() -> dict[str, str]:
    """Every installed package but the project itself, and its release, by its normalised name."""
    found = {canonicalize_name(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
    found.pop("wsss-core", None)
    return dict(sorted(found.items()))


def needed_by(names: Iterable[str]) -> list[str]:
    """These installed packages and all that they need; what only some platforms need is left to pip."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in map(Requirement, importlib.metadata.requires(name) or ()):
            marker = requirement.marker
            if marker is None or (
                "platform" not in str(marker) and marker.evaluate({**default_environment(), "extra": ""})
            ):
                waiting.append(canonicalize_name(requirement.name))
    return sorted(found)


def conda_environment(text: str, releases: dict[str, str]) -> str:
    """The text of the conda environment with these releases of what jobs need (they do without snakemake)."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    direct = [Requirement(text).name for text in project["dependencies"]]
    pins = [f"      - {name}=={releases[name]}\n" for name in needed_by(n for n in direct if n != "snakemake")]
    return re.sub(r"(  - pip:\n)(?: {6}.*\n)*", lambda match: match[1] + "".join(pins), text)


def main() -> None:
    """Install, and write the three files."""
    wanted = requirements()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
    # As `make install` does: without the Cython that pydensecrf2 asks for.
    subprocess.run([*install, "--no-build-isolation", "pydensecrf2"], check=True)
    subprocess.run([*install, *map(lower_end, wanted)], check=True)
    releases = installed()
    CONSTRAINTS.write_text(HEADER + "".join(f"{name}=={release}\n" for name, release in releases.items()))
    text = PROJECT.read_text()
    for requirement in wanted:
        new = tried_range(requirement, Version(releases[canonicalize_name(requirement.name)]))
        text = re.sub(rf'"{re.escape(requirement.name)}(?![\w-])[^"]*"', f'"{new}"', text)
    PROJECT.write_text(text)
    CONDA.write_text(conda_environment(CONDA.read_text(), releases))


if __name__ == "__main__":
    main()
