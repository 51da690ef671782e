"""Measurements that take long: what the methods are worth, on the embedded data set."""

import os

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as in jobs; torch asks for it once
