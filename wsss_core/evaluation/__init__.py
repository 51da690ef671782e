"""Scores against masks; nothing here imports torch."""
