"""PASCAL VOC, optionally with SBD."""
