"""An experiment in a box: one archive with all that others, and a results folder, need to use it."""
