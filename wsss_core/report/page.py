"""How the report's pages are rendered from their templates, and written."""

import json
import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from wsss_core.files.html_page import write_html

TEMPLATES = Path(__file__).with_name("templates")


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render one of the report's templates and write the page."""
    filters = {"percent": _percent, "duration": _duration, "memory": _memory, "shade": _shade, "setting": _setting}
    write_html(path, TEMPLATES / template, values, filters, {"file": _packaged})


def _packaged(name: str) -> Markup:
    """A style sheet or a script, as a part of the page."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.1f}"


def _duration(seconds: float) -> str:
    """Seconds in words, for a table."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{minutes // 60} h {minutes % 60:02d} min"


def _memory(mebibytes: float) -> str:
    if math.isnan(mebibytes):
        return "–"
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def _shade(percent: float | None) -> str:
    """How strong the colour behind a percentage is."""
    return "0" if percent is None else f"{0.04 + 0.6 * percent / 100:.2f}"


def _setting(value: Any) -> str:
    """A setting as YAML writes it in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
