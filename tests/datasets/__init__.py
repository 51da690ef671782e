"""Tests of ``wsss_core.datasets``."""
