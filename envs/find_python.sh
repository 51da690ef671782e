#!/bin/sh
# Print a Python that the project runs on; if there is none, say what to install.
# find_python.sh [CANDIDATE ...]: names or paths; the first suitable one is taken.
oldest=11 newest=13  # Python 3.11 to 3.13, as in requires-python in pyproject.toml
[ $# -gt 0 ] || set -- python3 python3.13 python3.12 python3.11
suitable="import os, sys, sysconfig, ensurepip, venv
sys.exit(not (sys.version_info[0] == 3 and $oldest <= sys.version_info[1] <= $newest
              and os.path.exists(sysconfig.get_path('include') + '/Python.h')))"
for candidate; do
    if "$candidate" -c "$suitable" >/dev/null 2>&1; then
        command -v "$candidate"
        exit
    fi
done
echo "None of these is a Python 3.$oldest to 3.$newest with venv and headers: $*; install one (Debian and Ubuntu:" \
    "python3-venv and python3-dev, or those of python3.$oldest to 3.$newest), or name one:" \
    "make PYTHON=/path/to/python3.$newest" >&2
exit 1
