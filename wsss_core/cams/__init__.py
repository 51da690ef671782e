"""Drawing class maps from trained classifiers; one file a method."""
