"""Labels on their way to a person and back: what is worth correcting, exports, and masks that were corrected."""
