"""How class maps draw themselves in a notebook: HTML that names classes in text."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

from wsss_core.files.heat import data_address, heat_picture

SIDE = 192
"""Longest side of a map, pixels."""
FIRST_IMAGES = 6
"""Images of a store that are drawn."""


def image_cams_html(image_id: str, height: int, width: int, maps: Iterable[tuple[str, np.ndarray]]) -> str:
    """The class maps of an image, side by side.

    Args:
        image_id: the image's id.
        height: of the image, pixels.
        width: of the image, pixels.
        maps: names of classes and their maps, (height, width) with values in [0, 1].
    """
    factor = SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    heading = f"Class maps of image <b>{escape(image_id)}</b>, {height} x {width} pixels"
    figures = "".join(_figure(name, values, size) for name, values in maps)
    return f"<div>{heading}<br>{figures or 'It has no class.'}</div>"


def cam_store_html(classes: Sequence[str], files: Sequence[str], images: int, drawn: Sequence[str]) -> str:
    """The content of a store of class maps.

    Args:
        classes: names of the data set's classes.
        files: paths of the shards.
        images: number of its images.
        drawn: the first images, from :func:`image_cams_html`.
    """
    more = f"<p>and {images - len(drawn)} more images</p>" if images > len(drawn) else ""
    return (
        f"<div>Class maps of {images} images<br>classes: {escape(', '.join(classes))}<br>"
        f"files: {escape(', '.join(files))}{''.join(drawn)}{more}</div>"
    )


def _figure(name: str, values: np.ndarray, size: tuple[int, int]) -> str:
    picture = data_address(Image.fromarray(heat_picture(values, size)), "png")
    return (
        '<figure style="display:inline-block;margin:4px">'
        f'<img src="{picture}" width="{size[0]}" height="{size[1]}" alt="class map of {escape(name)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )
