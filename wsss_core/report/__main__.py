"""The former name of ``python -m wsss_core show``; the next release removes it."""

import runpy
import sys

print(
    "python -m wsss_core.report is now `python -m wsss_core`; the old name goes with the next release", file=sys.stderr
)
runpy.run_module("wsss_core", run_name="__main__")
