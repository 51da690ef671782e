"""Class names that a data set's files use but the class list lacks."""

import difflib
from collections.abc import Iterable, Sequence

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.joined_labels import made_of

MOST_HINTS = 100
"""Unknown names that a similar class is suggested for: among 1,000 classes a search takes hundredths of a second."""


def nearest_class(name: str, classes: Iterable[str]) -> str | None:
    """The class that an unknown name most likely means; None if no name is similar."""
    folded = {known.casefold(): known for known in classes}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def unknown_class_faults(found: Iterable[tuple[str, str, str]], classes: Sequence[str]) -> list[Fault]:
    """A fault for each label that is not in the class list: first one per unknown name, then all repetitions.

    Args:
        found: name, image id, and the file (with the line, if it describes many images) of each unknown label.
        classes: the class list.
    """
    first: dict[str, Fault] = {}
    further: list[Fault] = []
    advice: dict[str, str] = {}
    for name, image_id, file in found:
        if name not in advice:
            near = nearest_class(name, classes) if len(advice) < MOST_HINTS else None
            advice[name] = f"did you mean {near!r}?" if near else "add it to 'classes'"
            if (joined := made_of(name, classes)) is not None:
                advice[name] = f"if it means {' and '.join(map(repr, joined.parts))}, write ';' between them"
        detail = f"{name!r} is not in the class list ({advice[name]})"
        fault = Fault(FaultKind.UNKNOWN_CLASS, file, detail, image_id)
        if first.setdefault(name, fault) is not fault:
            further.append(fault)
    return [*first.values(), *further]
