"""What a job finds out while it runs, such as its speed, for its entry in the artifact's provenance.

Figures differ from run to run, and so have no place in the files that a stage makes: those are the same to the byte
when a job is killed and goes on.
"""

_figures: dict[str, float] = {}


def forget_figures() -> None:
    """Begin anew: a job starts."""
    _figures.clear()


def tell_figure(name: str, value: float) -> None:
    """Keep a figure under this name, in place of an earlier one."""
    _figures[name] = value


def told_figures() -> dict[str, float]:
    """The figures told since the job's start, by name."""
    return dict(_figures)
