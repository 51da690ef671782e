"""Settings of the report: how much its page shows. No map, label or score depends on them."""

from pydantic import Field

from wsss_core.config.parameters import Parameters


class Report(Parameters):
    """What ``report.html`` shows besides scores and settings."""

    images: int = Field(80, ge=0, le=100_000)
    """At most this many images of each split are in the gallery. A fifth of them are the worst, a fifth the best, a
    fifth those that methods disagree about most, and the others are evenly spread. A gallery that is too large for one
    page is divided into several pages."""
    climbs: int = Field(3, ge=0, le=8)
    """Training images for which AdvCAM's climb is shown step by step, for every AdvCAM variant that an experiment uses.
    They are evenly spread over the labelled images; 0 for none."""
    erasings: int = Field(0, ge=0, le=8)
    """Training images that show what a classifier still finds after everything that its map covers is erased, several
    times in a row (OC-CSE's second figure): for every classifier that an experiment draws maps from, and for the
    ordinary one that judges a CGNet; 0 for none."""
