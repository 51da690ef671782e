"""Checks that this Python has all packages of the check; this module only imports the standard library.

``make gpu-check-wheels`` fetches missing packages as wheels, which can be copied to a machine without a network.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NEEDED = {
    **{"torch": "torch", "torchvision": "torchvision", "numpy": "numpy", "scipy": "scipy"},
    **{"pandas": "pandas", "h5py": "h5py", "PIL": "pillow", "yaml": "pyyaml", "tqdm": "tqdm"},
    **{"safetensors": "safetensors", "pydantic": "pydantic", "pydantic_core": "pydantic-core"},
    **{"annotated_types": "annotated-types", "typing_inspection": "typing-inspection"},
}
"""Modules that parts import, and their packages."""
FETCHED = {
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions"),
    *("safetensors", "tqdm", "pyyaml", "pillow"),
}
"""The packages that ``make gpu-check-wheels`` fetches."""
CARRIED = Path(__file__).parents[2] / ".gpu_check_wheels"
"""The folder of these wheels."""


def missing(names: Sequence[str] = tuple(NEEDED)) -> list[str]:
    """The packages of modules that this Python cannot find."""
    return [NEEDED[name] for name in names if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def has_crf() -> bool:
    """Whether pydensecrf is installed; without it, parts skip what needs it."""
    return _is_there("pydensecrf")


def has_timm() -> bool:
    """Whether timm is installed; stages with vision transformers need it."""
    return _is_there("timm")


def install_carried(folder: Path, wheels: Path = CARRIED) -> None:
    """Install the wheels into a folder, and let this process import from it.

    Args:
        folder: made if it is missing; for ``PYTHONPATH`` of other processes.
        wheels: a folder of files that end in ``.whl``.

    Raises:
        subprocess.CalledProcessError: pip fails; its message is on the standard error.
    """
    quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action", "ignore"]
    offline = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade", "--target", str(folder)]
    files = [str(path) for path in sorted(wheels.glob("*.whl"))]
    subprocess.run([sys.executable, "-m", "pip", "install", *quiet, *offline, *files], check=True)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def how_to_install(packages: Sequence[str]) -> str:
    """The message about missing packages."""
    carried = [package for package in packages if package in FETCHED] or ["pydantic and some others"]
    return (
        f"{sys.executable} lacks {', '.join(packages)}: install {'it' if len(packages) == 1 else 'them'}; for a "
        f"machine without a network, 'make gpu-check-wheels' on another machine fetches {', '.join(carried)} into "
        f"{CARRIED.name}, and the check uses the wheels in this folder"
    )
