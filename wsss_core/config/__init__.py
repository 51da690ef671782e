"""The configuration: typed, with defaults, checked before anything runs."""

from wsss_core.config.loading import ConfigError, load_config, read_yaml
from wsss_core.config.root import Config, Experiment

__all__ = ["Config", "ConfigError", "Experiment", "load_config", "read_yaml"]
