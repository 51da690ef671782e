"""Converts other programs' weights into files of this project."""
