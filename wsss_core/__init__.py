"""Weakly supervised semantic segmentation, from image-level labels to a trained network."""
