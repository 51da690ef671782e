"""PASCAL VOC, and SBD beside it."""
