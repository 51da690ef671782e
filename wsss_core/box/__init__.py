"""An experiment in a box: one archive with all that others need to use it, and what a results folder needs."""
