"""Lets a Python do without the packages in ``LACKING``: in front of ``PYTHONPATH``, it is imported at its start."""

import os
import sys

LACKING = os.environ["LACKING"].split()


class Lacking:
    """Finds none of them."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Lacking())
