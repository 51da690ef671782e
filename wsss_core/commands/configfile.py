"""The option of all commands that take names of experiments: the file that defines these."""

import argparse
import shlex

from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan

CONFIGFILE = "config.yaml"


def add_configfile(parser: argparse.ArgumentParser) -> None:
    """Declare ``--configfile``."""
    parser.add_argument(
        "--configfile", default=CONFIGFILE, metavar="FILE", help=f"the configuration; by default {CONFIGFILE}"
    )


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan of the named configuration.

    Raises:
        UserError: the file cannot be read, or has faults.
    """
    return Plan(load_config(read_yaml(options.configfile)))


def snakemake_options(options: argparse.Namespace) -> str:
    """The options that ``snakemake`` needs for the same configuration, to follow its targets."""
    return "" if options.configfile == CONFIGFILE else f" --configfile {shlex.quote(options.configfile)}"
