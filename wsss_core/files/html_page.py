"""Renders pages from Jinja's templates, and writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from wsss_core.files.atomic import write_text


def write_html(
    path: Path | str,
    template: Path,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]],
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> None:
    """Render a template and write the page. Everything is escaped, and no value may be missing.

    Args:
        path: the page to write.
        template: its template; others that it includes are in the same folder.
        values: what the template shows.
        filters: the template's own filters, by name.
        functions: functions that it calls, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    environment.globals.update(functions or {})
    page = environment.get_template(template.name).render(**values)
    # A file's name may have bytes that are not UTF-8, which Python keeps as characters that cannot be written.
    write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))
