"""Runs images through a network, one after another."""
