"""What a job measures while it runs, such as its speed, for its entry in the artifact's provenance.

Figures differ from run to run, so they do not belong in the files that a stage makes, which are the same to the byte
even after a kill.
"""

_figures: dict[str, float] = {}


def forget_figures() -> None:
    """Remove all figures, at the start of a job."""
    _figures.clear()


def record_figure(name: str, value: float) -> None:
    """Keep a figure under this name; it replaces an earlier one."""
    _figures[name] = value


def recorded_figures() -> dict[str, float]:
    """The figures recorded since the job's start, by name."""
    return dict(_figures)
