# What the rules share: the plan, which they ask, and Snakemake's form of errors and reports.
import multiprocessing
import os
import shlex
import sys

from wsss_core.config.differences import all_settings
from wsss_core.datasets.index import SPLITS, TEST
from wsss_core.errors import UserError
from wsss_core.plan import descriptions
from wsss_core.plan.checks import check_before_a_run
from wsss_core.plan.places import check_program_paths
from wsss_core.plan.rules import Rules, directories


def told(function):
    """The function, whose errors for users become Snakemake's, which have no traceback."""

    def telling(*arguments):
        try:
            return function(*arguments)
        except UserError as error:
            raise WorkflowError(str(error)) from None

    return telling


def reported(file, caption, category, subcategory, **labels):
    """A file that `snakemake --report` shows, with the caption of this name."""
    folder = os.path.join(workflow.basedir, "captions")
    return report(file, f"{folder}/{caption}.rst", category=category, subcategory=subcategory, labels=labels)


def warn_of_classifiers():
    for warning in descriptions.warnings_of_classifiers(ask):
        print(warning)


# Scripts find wsss_core beside the Snakefile also in an environment made by `--sdm conda`.
inherited = dict(os.environ).get("PYTHONPATH")
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [workflow.basedir, inherited])))

told(check_program_paths)(workflow.basedir, sys.executable)

# Snakemake puts the interpreter's path into the shell's command lines without quotes.
if os.path.exists(sys.executable):
    multiprocessing.set_executable(sys.executable)  # which quotes are not for
    sys.executable = shlex.quote(sys.executable)

ask = told(Rules)(config, workflow.configfiles)
told(check_before_a_run)(ask)
FOLDER = ask.folder
