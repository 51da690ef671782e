"""Correction of labels by a person: what is worth correcting, exports, and imports of corrected masks."""
