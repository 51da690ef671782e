"""Names of object classes: those of the known data sets, and which names are allowed."""

import unicodedata

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike",
    "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
"""The twenty object classes of PASCAL VOC, in the order of their palette indices 1 to 20."""

# fmt: off
COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)
# fmt: on
"""The eighty object classes of MS-COCO, in the order of their ids (1 to 90, with gaps)."""

CREATURE_CLASSES = (
    "cyanring_newt",
    "redbar_turtle",
    "yellowspot_toad",
    "greenhalf_newt",
    "bluecross_turtle",
    "magentawedge_toad",
)
"""The classes of the generated data set, named after head and body; i and i + 3 share a body."""


MOST_CLASSES = 1000
"""Classes that a data set may have, without the background. More would fit into the files, but this is untested."""


def check_class_names(classes: tuple[str, ...]) -> None:
    """Refuse class names that masks, tables or people could not distinguish.

    Raises:
        ValueError: saying what is wrong with the names.
    """
    if len(set(classes)) != len(classes):
        raise ValueError("'classes' names a class twice")
    if len(classes) > MOST_CLASSES:
        raise ValueError(f"'classes' has {len(classes)} names; at most {MOST_CLASSES} are supported")
    for name in classes:
        if not name or ";" in name or name == "background":
            raise ValueError(f"class names must not be empty, hold ';' or be 'background': {name!r}")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise ValueError(f"class names must not hold control characters: {name!r}")
