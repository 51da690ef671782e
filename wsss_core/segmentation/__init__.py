"""Stages `segmenter` and `predictions`."""
