"""What a first run on a GPU has to show, in ten minutes: ``make gpu-check``, ``python -m benchmarks.gpu_check``."""
