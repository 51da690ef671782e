"""The commands of `python -m wsss_core`: a module each, which reads the options and makes one call."""
