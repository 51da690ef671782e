# What the rules share: the plan that they ask, and errors and reports in Snakemake's form.
import multiprocessing
import os
import shlex
import sys

from wsss_core.config.differences import all_settings
from wsss_core.datasets.index import SPLITS, TEST
from wsss_core.errors import UserError
from wsss_core.plan import comparison, descriptions
from wsss_core.plan.checks import check_before_a_run
from wsss_core.plan.places import check_program_paths
from wsss_core.plan.rules import Rules, directories


def without_traceback(function):
    """The function with errors for users as Snakemake's errors, which have no traceback."""

    def wrapped(*arguments):
        try:
            return function(*arguments)
        except UserError as error:
            raise WorkflowError(str(error)) from None

    return wrapped


def reported(file, caption, category, subcategory, **labels):
    """A file that `snakemake --report` shows, with the caption of this name."""
    folder = os.path.join(workflow.basedir, "captions")
    return report(file, f"{folder}/{caption}.rst", category=category, subcategory=subcategory, labels=labels)


def warn_of_classifiers():
    for warning in descriptions.warnings_of_classifiers(ask):
        print(warning)


# Scripts find wsss_core next to the Snakefile, also in an environment of `--sdm conda`.
inherited = dict(os.environ).get("PYTHONPATH")
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [workflow.basedir, inherited])))

without_traceback(check_program_paths)(workflow.basedir, sys.executable)

# Snakemake puts the interpreter's path into command lines without quotes.
if os.path.exists(sys.executable):
    multiprocessing.set_executable(sys.executable)  # needs the path without quotes
    sys.executable = shlex.quote(sys.executable)

ask = without_traceback(Rules)(config, workflow.configfiles)
without_traceback(check_before_a_run)(ask)
FOLDER = ask.folder
