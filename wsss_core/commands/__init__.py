"""The commands of `python -m wsss_core`: each has a module that reads the options and makes one call."""
