"""The option of all commands that know experiments by name: the file that defines them."""

import argparse
import shlex

from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan

CONFIGFILE = "config.yaml"


def add_configfile(parser: argparse.ArgumentParser) -> None:
    """Declare ``--configfile``."""
    parser.add_argument("--configfile", default=CONFIGFILE, metavar="FILE", help=f"by default {CONFIGFILE}")


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan of the configuration that was named.

    Raises:
        UserError: the file cannot be read, or is not a right configuration.
    """
    return Plan(load_config(read_yaml(options.configfile)))


def snakemake_options(options: argparse.Namespace) -> str:
    """What ``snakemake`` has to be called with for the same configuration, behind its targets."""
    return "" if options.configfile == CONFIGFILE else f" --configfile {shlex.quote(options.configfile)}"
