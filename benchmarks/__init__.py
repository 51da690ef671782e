"""Benchmarks: scores of the methods, and speed."""

import os

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as in jobs; torch asks for it once
