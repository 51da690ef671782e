"""The configuration: typed, with defaults, checked before anything runs."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss_core.config.loading import load_config
    from wsss_core.config.root import Config, Experiment
    from wsss_core.config.yaml_files import ConfigError, read_yaml

_HOME = {
    "Config": "root",
    "ConfigError": "yaml_files",
    "Experiment": "root",
    "load_config": "loading",
    "read_yaml": "yaml_files",
}

__all__ = ["Config", "ConfigError", "Experiment", "load_config", "read_yaml"]


def __getattr__(name: str) -> Any:
    """Jobs need some settings' classes, but not the checks of a whole configuration."""
    if name not in __all__:
        raise AttributeError(f"module 'wsss_core.config' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
