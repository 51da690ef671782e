"""A folder of pictures and a table of their labels, for trying the workflow without pictures of one's own.

``python docs/examples/draw_pictures.py data/mine 40`` writes ``images/*.jpg`` and ``labels.csv``; nothing else is known
of the pictures, as of most people's own.
"""

import csv
import sys
from pathlib import Path

from PIL import Image

from wsss_core.config.class_names import CREATURE_CLASSES
from wsss_core.config.dataset import Creatures
from wsss_core.datasets.creatures.creatures import creature_picture


def draw_pictures(folder: Path, count: int, size: int = 160) -> None:
    """Draw the generated data set's creatures, and call them by their bodies: newt, toad, turtle.

    Args:
        folder: where ``images`` and ``labels.csv`` go.
        count: how many pictures.
        size: their height and width, pixels.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    settings = Creatures(size=size, seed=77)
    rows = []
    for number in range(count):
        picture = creature_picture(number, settings)
        name = f"IMG_{number:04d}.jpg"
        Image.fromarray(picture.image).save(folder / "images" / name, quality=92)
        shown = {CREATURE_CLASSES[drawn.class_index].split("_")[1] for drawn in picture.objects}
        rows += [(name, label) for label in sorted(shown)]
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerows([("image", "label"), *rows])


if __name__ == "__main__":
    draw_pictures(Path(sys.argv[1]), int(sys.argv[2]))
