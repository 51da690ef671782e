"""Draws class maps from trained classifiers; each method has a file."""
