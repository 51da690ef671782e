"""The option of all commands that take names of experiments: the files that define these."""

import argparse
import shlex
from collections.abc import Mapping
from typing import Any

from wsss_core.config import load_config, read_yaml
from wsss_core.config.yaml_files import ConfigError, misread_parts
from wsss_core.plan.plan import Plan

CONFIGFILE = "config.yaml"


def add_configfile(parser: argparse.ArgumentParser) -> None:
    """Declare ``--configfile``."""
    parser.add_argument(
        "--configfile",
        action="append",
        metavar="FILE",
        help=f"the configuration; by default {CONFIGFILE}. To merge several files, give the option several times",
    )


def configuration_files(options: argparse.Namespace) -> list[str]:
    """The named files, or the default one."""
    return options.configfile or [CONFIGFILE]


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan of the named configuration; several files are merged as Snakemake merges them.

    Raises:
        UserError: a file cannot be read, or the configuration has faults.
    """
    config: Any = {}
    for file in configuration_files(options):
        content = read_yaml(file)
        if faults := misread_parts(content):
            raise ConfigError(f"{file}: {fault}" for fault in faults)
        config = merged(config, content)
    return Plan(load_config(config))


def merged(config: Any, changes: Mapping[Any, Any]) -> Any:
    """``config`` with the keys of ``changes``, block by block; as in Snakemake, an empty block changes nothing.

    Like ``snakemake.utils.update_config``, which the package cannot import: it must work without Snakemake.
    """
    for key, value in changes.items():
        below = config if isinstance(config, Mapping) else {}
        config = {**below, key: merged(below.get(key, {}), value) if isinstance(value, Mapping) else value}
    return config


def snakemake_options(options: argparse.Namespace) -> str:
    """The options that ``snakemake`` needs for the same configuration, to follow its targets."""
    return f" --configfile {shlex.join(options.configfile)}" if options.configfile else ""
