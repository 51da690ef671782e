"""How class maps draw themselves in a notebook: HTML that names classes in text."""

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from wsss_core.files.heat import data_address, heat_picture

if TYPE_CHECKING:
    from wsss_core.files.cam_store import CamStoreReader, ImageCams

SIDE = 192
"""Longest side of a map, pixels."""
FIRST_IMAGES = 6
"""Images of a store that are drawn."""


def image_cams_html(cams: "ImageCams") -> str:
    """The class maps of an image, side by side."""
    heading = f"Class maps of image <b>{escape(cams.image_id)}</b>, {cams.height} x {cams.width} pixels"
    return f"<div>{heading}<br>{''.join(_figures(cams)) or 'It has no class.'}</div>"


def cam_store_html(store: "CamStoreReader") -> str:
    """What a store of class maps holds, and the first images' maps."""
    ids = store.image_ids
    drawn = "".join(image_cams_html(store.read(image_id)) for image_id in ids[:FIRST_IMAGES])
    more = f"<p>and {len(ids) - FIRST_IMAGES} more images</p>" if len(ids) > FIRST_IMAGES else ""
    classes = escape(", ".join(store.classes))
    files = escape(", ".join(store.files))
    return f"<div>Class maps of {len(ids)} images<br>classes: {classes}<br>files: {files}{drawn}{more}</div>"


def _figures(cams: "ImageCams") -> Iterable[str]:
    factor = SIDE / max(cams.height, cams.width)
    size = max(1, round(cams.width * factor)), max(1, round(cams.height * factor))
    for class_index, values in zip(cams.classes, cams.full_size(), strict=True):
        name = cams.class_names[class_index] if cams.class_names else f"class {class_index}"
        picture = data_address(Image.fromarray(heat_picture(values, size)), "png")
        yield (
            '<figure style="display:inline-block;margin:4px">'
            f'<img src="{picture}" width="{size[0]}" height="{size[1]}" alt="class map of {escape(name)}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
        )
