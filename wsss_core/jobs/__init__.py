"""What surrounds a job: its log, signals, processes, GPUs and progress."""
