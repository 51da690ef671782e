"""Which values label maps have: 8 bits with 255 for "does not count", or for over 254 classes 16 bits with 65535.

A map's data type says which of the two holds, in memory (uint8, uint16) as in its PNG file (palette or 8-bit grey;
16-bit grey). In tensors (int64) it is the number of classes that says so.
"""

import numpy as np

MOST_OF_8_BITS = 254
"""Classes that 8-bit label maps can tell apart."""


def label_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """The data type of label maps of so many classes, without the background."""
    return np.uint8 if classes <= MOST_OF_8_BITS else np.uint16


def ignored_value(classes: int) -> int:
    """The value, with so many classes, of pixels that do not count."""
    return int(np.iinfo(label_type(classes)).max)


def ignored_in(labels: np.ndarray) -> int:
    """The value of the pixels of a label map, uint8 or uint16, that do not count."""
    return int(np.iinfo(labels.dtype).max)


def of_classes(labels: np.ndarray, classes: int) -> np.ndarray:
    """A label map, uint8 or uint16, in the data type for so many classes; values beyond them stay what they are.

    Raises:
        ValueError: a value, that of ignored pixels aside, does not fit.
    """
    wanted = label_type(classes)
    if labels.dtype == wanted:
        return labels
    ignored = labels == ignored_in(labels)
    beyond = labels[~ignored]
    if beyond.size and beyond.max() >= ignored_value(classes):
        raise ValueError(f"the label map has the value {beyond.max()}; classes are 0 to {classes}")
    return np.where(ignored, ignored_value(classes), labels.astype(np.int64)).astype(wanted)


def told_apart(labels: np.ndarray) -> np.ndarray:
    """A label map whose values only tell its own classes apart: uint8, 0 background, 1 and up, 255 ignored.

    Args:
        labels: uint8, which is left as it is, or uint16.

    Raises:
        ValueError: there are over 254 classes in it.
    """
    if labels.dtype == np.uint8:
        return labels
    ignored = ignored_in(labels)
    present = np.unique(labels)
    own = present[(present != 0) & (present != ignored)]
    if len(own) > MOST_OF_8_BITS:
        raise ValueError(f"the label map has {len(own)} classes; at most {MOST_OF_8_BITS} of one image are told apart")
    numbered = np.searchsorted(own, labels) + 1
    numbered[labels == 0] = 0
    numbered[labels == ignored] = ignored_value(0)
    return numbered.astype(np.uint8)
