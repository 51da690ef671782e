"""Settings of the report: how much of a run its page shows. No map, label or score depends on them."""

from pydantic import Field

from wsss_core.config.parameters import Parameters


class Report(Parameters):
    """What ``report.html`` shows beside scores and settings."""

    images: int = Field(80, ge=0, le=100_000)
    """Images of each split that the gallery shows, at most; a fifth of them are the worst, as many the best, as many
    those that methods disagree about, and the others evenly spread. A gallery that is too large for one page
    comes as several beside it."""
    climbs: int = Field(3, ge=0, le=8)
    """Training images of which AdvCAM's climb is shown step by step, evenly spread over those that have a label, of
    every AdvCAM variant that an experiment uses; 0 for none."""
    erasings: int = Field(0, ge=0, le=8)
    """Training images that show what a classifier still finds once all that its map covers is erased, again and again
    (OC-CSE's second figure); of every classifier that an experiment draws maps from, and of the ordinary one that
    judges a CGNet; 0 for none."""
