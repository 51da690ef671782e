"""Install the newest releases of all requirements, and record them; see `make update-constraints`.

Run by the Python of a new environment that has pip, setuptools and packaging. Writes

- ``constraints.txt``: the release of every installed package;
- the ranges in ``pyproject.toml``: from the existing lower end up to the new releases (2.14.1: below 2.15);
- ``envs/wsss.yaml``: the releases of the packages that jobs need, for ``snakemake --sdm conda``.
"""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
PROJECT = REPOSITORY / "pyproject.toml"
CONDA = REPOSITORY / "envs" / "wsss.yaml"
HEADER = "# The releases that the tests have passed with. Written by `make update-constraints`.\n"


def requirements(text: str) -> dict[str, Requirement]:
    """All requirements in a pyproject.toml, by their text; the project's own extras are left out."""
    project = tomllib.loads(text)["project"]
    texts = [*project["dependencies"], *(text for texts in project["optional-dependencies"].values() for text in texts)]
    return {text: Requirement(text) for text in texts if not text.startswith(project["name"])}


def without_upper_end(requirement: Requirement) -> str:
    """The requirement without its upper end; excluded releases stay excluded."""
    kept = sorted((part for part in requirement.specifier if part.operator not in ("<", "<=")), key=str, reverse=True)
    return requirement.name + ",".join(map(str, kept))


def tried_range(requirement: Requirement, tried: Version) -> str:
    """The requirement up to the tried release: 2.14.1 is below 2.15."""
    return f"{without_upper_end(requirement)},<{tried.major}.{tried.minor + 1}"


def with_tried_ranges(text: str, releases: dict[str, str]) -> str:
    """The text of pyproject.toml with ranges that end with these releases."""
    for said, requirement in requirements(text).items():
        tried = Version(releases[canonicalize_name(requirement.name)])
        text = text.replace(f'"{said}"', f'"{tried_range(requirement, tried)}"')
    return text


def installed() -> dict[str, str]:
    """The release of every installed package except the project itself, by its normalised name."""
    found = {canonicalize_name(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
    found.pop("wsss-core", None)
    return dict(sorted(found.items()))


def needed_by(names: Iterable[str]) -> list[str]:
    """These installed packages and everything that they need here."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in map(Requirement, importlib.metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return sorted(found)


def conda_environment(text: str, names: Iterable[str], releases: dict[str, str]) -> str:
    """The text of the conda environment with these releases of these packages."""
    pins = "".join(f"      - {name}=={releases[name]}\n" for name in names)
    return re.sub(r"(  - pip:\n)(?: {6}.*\n)*", lambda match: match[1] + pins, text)


def needed_by_jobs(text: str) -> list[str]:
    """The packages that the jobs of a pyproject.toml need, which is all but Snakemake."""
    direct = [Requirement(said).name for said in tomllib.loads(text)["project"]["dependencies"]]
    return needed_by(name for name in direct if name != "snakemake")


def main() -> None:
    """Install, and write the three files."""
    text = PROJECT.read_text()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
    # As in `make install`: without the Cython that pydensecrf2 asks for.
    subprocess.run([*install, "--no-build-isolation", "pydensecrf2"], check=True)
    subprocess.run([*install, *map(without_upper_end, requirements(text).values())], check=True)
    releases = installed()
    CONSTRAINTS.write_text(HEADER + "".join(f"{name}=={release}\n" for name, release in releases.items()))
    PROJECT.write_text(with_tried_ranges(text, releases))
    CONDA.write_text(conda_environment(CONDA.read_text(), needed_by_jobs(text), releases))


if __name__ == "__main__":
    main()
