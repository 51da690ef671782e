"""The values of label maps: 8 bits with 255 for ignored pixels, or, for more than 254 classes, 16 bits with 65535.

A map's dtype says which form it has, in memory (uint8, uint16) and in its PNG file (palette or 8-bit grey; 16-bit
grey). In tensors (int64) the number of classes says it.
"""

import numpy as np

MOST_OF_8_BITS = 254
"""The largest number of classes for 8-bit label maps."""


def label_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """The dtype of label maps of ``classes`` classes, without the background."""
    return np.uint8 if classes <= MOST_OF_8_BITS else np.uint16


def ignored_value(classes: int) -> int:
    """The value of ignored pixels in label maps of ``classes`` classes."""
    return int(np.iinfo(label_type(classes)).max)


def ignored_in(labels: np.ndarray) -> int:
    """The value of ignored pixels in a label map, uint8 or uint16."""
    return int(np.iinfo(labels.dtype).max)


def of_classes(labels: np.ndarray, classes: int) -> np.ndarray:
    """A label map, uint8 or uint16, in the dtype for ``classes`` classes. Larger values that fit are kept.

    Raises:
        ValueError: a value other than that of ignored pixels does not fit.
    """
    wanted = label_type(classes)
    if labels.dtype == wanted:
        return labels
    ignored = labels == ignored_in(labels)
    beyond = labels[~ignored]
    if beyond.size and beyond.max() >= ignored_value(classes):
        raise ValueError(f"the label map has the value {beyond.max()}; classes are 0 to {classes}")
    return np.where(ignored, ignored_value(classes), labels.astype(np.int64)).astype(wanted)


def numbered_within(labels: np.ndarray) -> np.ndarray:
    """A label map with its own classes numbered from 1: uint8, 0 background, 255 ignored.

    Args:
        labels: uint16; a uint8 map is returned unchanged.

    Raises:
        ValueError: the map has more than 254 classes.
    """
    if labels.dtype == np.uint8:
        return labels
    ignored = ignored_in(labels)
    present = np.unique(labels)
    own = present[(present != 0) & (present != ignored)]
    if len(own) > MOST_OF_8_BITS:
        raise ValueError(f"the label map has {len(own)} classes; one image can have at most {MOST_OF_8_BITS}")
    numbered = np.searchsorted(own, labels) + 1
    numbered[labels == 0] = 0
    numbered[labels == ignored] = ignored_value(0)
    return numbered.astype(np.uint8)
