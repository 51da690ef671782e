"""Data sets on disk, their checks and index, and what turns an image into a sample."""
