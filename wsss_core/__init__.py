"""Weakly supervised semantic segmentation, from image-level labels to a trained network.

What a program needs most is imported from here: ``from wsss_core import draw_cams, load_classifier``. Each name is
imported when it is asked for, as torch alone takes seconds.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

_FACE = {
    "CamStoreReader": "files.cam_store",
    "Plan": "plan.plan",
    "UserError": "errors",
    "draw_cams": "cams.draw_cams",
    "load_affinity": "refinement.affinity_method",
    "load_classifier": "networks.classifier_files",
    "load_config": "config",
    "load_segmenter": "networks.segmenter_files",
    "segment": "segmentation.segment",
}
_MOVED = {
    "cam_store": "files.cam_store",
    "experiments": "plan.experiments",
    "hdf5_file": "files.hdf5_file",
    "heat": "files.heat",
    "networks.pretrained": "importing.pretrained",
}
"""Modules that programs of users may know by another name: these still work, with a warning, for one release."""

__all__ = list(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'wsss_core' has no attribute '{name}'; it has {', '.join(_FACE)}")
    return getattr(importlib.import_module(f"wsss_core.{_FACE[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_FACE]


class _Moved:
    """Finds modules under their former names."""

    def __init__(self) -> None:
        self.own_specs: dict[str, importlib.machinery.ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        new = self.new_name(name)
        if new is None:
            return None
        warnings.warn(f"{name} is now {new}; the old name goes with the next release", FutureWarning, stacklevel=2)
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(str(self.new_name(spec.name)))
        self.own_specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = self.own_specs[module.__spec__.name]  # which importing under the former name has replaced

    def get_code(self, name: str) -> CodeType:
        """What ``python -m <name>`` runs."""
        return compile(f"import runpy; runpy.run_module({self.new_name(name)!r}, run_name='__main__')", name, "exec")

    @staticmethod
    def new_name(name: str) -> str | None:
        new = _MOVED.get(name.removeprefix("wsss_core."))
        return None if new is None or not name.startswith("wsss_core.") else f"wsss_core.{new}"


sys.meta_path.append(_Moved())  # type: ignore[arg-type]
