"""Checks all stages on a GPU in ten minutes: ``make gpu-check``, ``python -m benchmarks.gpu_check``."""
