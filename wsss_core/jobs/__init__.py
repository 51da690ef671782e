"""What every job needs: log, signals, processes, GPUs and progress."""
