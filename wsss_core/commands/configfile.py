"""The option of all commands that take names of experiments: the files that define these."""

import argparse
import shlex
from typing import Any

from wsss_core.config import load_config, read_yaml
from wsss_core.config.parameters import overlay
from wsss_core.plan.plan import Plan

CONFIGFILE = "config.yaml"


def add_configfile(parser: argparse.ArgumentParser) -> None:
    """Declare ``--configfile``."""
    parser.add_argument(
        "--configfile",
        action="append",
        metavar="FILE",
        help=f"the configuration; by default {CONFIGFILE}; given again, a file that extends or replaces keys",
    )


def configuration_files(options: argparse.Namespace) -> list[str]:
    """The named files, or the default one."""
    return options.configfile or [CONFIGFILE]


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan of the named configuration; several files are merged as Snakemake merges them.

    Raises:
        UserError: a file cannot be read, or the configuration has faults.
    """
    config: dict[str, Any] = {}
    for file in configuration_files(options):
        config = overlay(config, read_yaml(file), None)
    return Plan(load_config(config))


def snakemake_options(options: argparse.Namespace) -> str:
    """The options that ``snakemake`` needs for the same configuration, to follow its targets."""
    return f" --configfile {shlex.join(options.configfile)}" if options.configfile else ""
