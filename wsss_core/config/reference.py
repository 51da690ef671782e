"""The configuration's JSON schema and its reference table, generated from the settings classes.

``python -m wsss_core.config.reference`` writes both into ``docs/``, and the tables of settings into the pages of
``docs/methods``; a test checks that they are up to date.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from pydantic_core import PydanticUndefined

from wsss_core.config.background import Threshold
from wsss_core.config.dataset import DATASET_FORMATS
from wsss_core.config.parameters import Parameters, settings_class
from wsss_core.config.report import Report
from wsss_core.config.root import Config
from wsss_core.config.runtime import RuleResources
from wsss_core.config.sections import SECTIONS
from wsss_core.config.semi_supervised import MasksOf
from wsss_core.config.stages import DEFAULT_RESOURCES, GPU_THREADS
from wsss_core.config.sweeps import Sweep
from wsss_core.files.atomic import write_text

SCHEMA_FILE = "config.schema.json"
TABLE_FILE = "configuration.md"
METHODS_FOLDER = "methods"
_SETTINGS_OF = re.compile(r"^(<!-- settings of (\w+) -->)\n.*?^(?=<!-- end of settings -->$)", re.M | re.S)
"""The part of a page that is replaced by a table of a class's settings."""


def json_schema() -> dict[str, Any]:
    """The schema that editors check and complete ``config.yaml`` with.

    In a section of variants it allows the keys of every kind; which ones a kind may have is checked when the
    configuration is loaded.
    """
    kinds = {kind for section in SECTIONS.values() for kind in section.kinds.values()} | {*DATASET_FORMATS.values()}
    models = [(model, "validation") for model in (Config, *sorted(kinds, key=lambda kind: kind.__name__))]
    _, definitions = models_json_schema(models, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    schema = definitions["$defs"]
    root = schema.pop("Config")
    for section, description in SECTIONS.items():
        variants = []
        for kind in description.kinds.values():
            schema[kind.__name__].pop("required", None)  # may come in through `extends`
            schema[kind.__name__]["properties"]["extends"] = {
                "type": "string",
                "description": "Variant of this section whose settings these are laid over.",
            }
            variants.append({"$ref": f"#/$defs/{kind.__name__}"})
        root["properties"][section]["additionalProperties"] = variants[0] if len(variants) == 1 else {"anyOf": variants}
    root["properties"]["dataset"] = {
        "anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in DATASET_FORMATS.values()],
        "description": root["properties"]["dataset"]["description"],
    }
    for block in (MasksOf, Threshold):
        schema[block.__name__] = {"anyOf": [{"type": block.short_type}, schema[block.__name__]]}
    root["properties"]["resources"]["propertyNames"] = {"enum": sorted(DEFAULT_RESOURCES)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": dict(sorted(schema.items()))}


def reference_table() -> str:
    """All keys with their types, defaults and descriptions, as Markdown."""
    lines = [
        "# Configuration reference",
        "",
        "Generated from the settings classes by `python -m wsss_core.config.reference`. A key that is not listed",
        "here is an error, and so is a value outside its range; all errors of a file are reported together.",
        "",
        "Sections of variants (`backbones`, `classifiers`, `cams`, `affinities`, `segmenters`, `experiments`) map",
        "names to settings. `extends: <name>` inherits the settings of another variant of the same section; blocks are",
        "merged key by key, and `null` removes an inherited optional value.",
    ]
    for name, layout in DATASET_FORMATS.items():
        lines += _block("dataset", layout, f" with `format: {name}`")
    for section, description in SECTIONS.items():
        for kind_name, kind in description.kinds.items():
            choice = f" with `{description.kind_key}: {kind_name}`" if kind_name else ""
            lines += _block(f"{section}.<name>", kind, choice)
    lines += _block("sweeps.<name>", Sweep)
    lines += _block("report", Report)
    lines += _block("runtime", Config.model_fields["runtime"].annotation)
    lines += _block("resources.<rule>", RuleResources)
    lines += ["", "Defaults by rule:", "", "| rule | threads | mem_mb | runtime | gpu |", "|---|---|---|---|---|"]
    for rule, asked in DEFAULT_RESOURCES.items():
        threads = f"{asked.threads}, on a GPU {GPU_THREADS[rule]}" if rule in GPU_THREADS else asked.threads
        lines.append(f"| `{rule}` | {threads} | {asked.mem_mb} | {asked.runtime} | {asked.gpu} |")
    return "\n".join(lines) + "\n"


def with_settings(page: str) -> str:
    """A page of the manual with its tables of settings filled in.

    Between ``<!-- settings of AdvCams -->`` and ``<!-- end of settings -->`` comes what the class itself declares;
    what it inherits is in the reference table.

    Args:
        page: Markdown.

    Raises:
        KeyError: there is no settings class of that name.
    """
    classes = {kind.__name__: kind for kind in _all_classes(Parameters)}

    def table(match: re.Match[str]) -> str:
        kind = classes[match[2]]
        fields = {key: field for key, field in kind.model_fields.items() if key in kind.__annotations__}
        rows = (f"| `{k}` | {_short(f.get_default())} | {_one_line(f.description)} |" for k, f in fields.items())
        return "\n".join([match[1], "", "| key | default | meaning |", "|---|---|---|", *rows, "", ""])

    return _SETTINGS_OF.sub(table, page)


def _all_classes(base: type[Parameters]) -> Iterator[type[Parameters]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _all_classes(kind)


def _short(default: Any) -> str:
    """A default; for a block, what differs from the block's own defaults."""
    if default is PydanticUndefined:
        return "**required**"
    if not isinstance(default, BaseModel):
        return f"`{_plain(default)}`"
    given = ", ".join(
        f"{key}: {_plain_value(value)}" for key, value in default.model_dump(exclude_defaults=True).items()
    )
    return f"`{{{given}}}`" if given else "the block's defaults"


def _plain_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain_value(inner)}" for key, inner in value.items()) + "}"
    return value if isinstance(value, str) else _plain(value)


def _block(title: str, model: Any, choice: str = "") -> Iterator[str]:
    assert issubclass(model, Parameters)
    yield from ["", f"## `{title}`{choice}", "", _one_line(model.__doc__), ""]
    yield from ["| key | type | default | meaning |", "|---|---|---|---|"]
    yield from _rows(model, "")


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    schema = model.model_json_schema()
    for key, field in model.model_fields.items():
        inner = settings_class(field.annotation)
        kind = _kind(schema["properties"][key], schema)
        default = "**required**" if field.is_required() else f"`{_plain(field.default)}`"
        yield f"| `{prefix}{key}` | {kind} | {default} | {_one_line(field.description)} |"
        if inner is not None:
            overridden = field.default if isinstance(field.default, BaseModel) else None
            for row in _rows(inner, f"{prefix}{key}."):
                yield _with_default(row, prefix + key, overridden)


def _with_default(row: str, prefix: str, default: BaseModel | None) -> str:
    """The row of an inner key with the default that the outer block gives it."""
    cells = row.split(" | ")
    value: Any = default
    for part in cells[0].removeprefix(f"| `{prefix}.").rstrip("`").split("."):
        if not isinstance(value, BaseModel):
            return row
        value = getattr(value, part)
    if not isinstance(value, BaseModel):
        cells[2] = f"`{_plain(value)}`"
    return " | ".join(cells)


def _kind(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """A short word for the type and range of a key."""
    if "anyOf" in schema:
        return " or ".join(_kind(choice, root) for choice in schema["anyOf"])
    if "$ref" in schema:
        return "block"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_kind(items, root)}"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {_bound(schema[key])}" for key, sign in limits.items() if key in schema]
    return " ".join([str(schema.get("type", "any")), ", ".join(bounds)]).strip()


def _bound(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return "{...}"
    if isinstance(value, tuple) and len(value) > 8:
        return f"{', '.join(map(str, value[:3]))}, ... ({len(value)})"
    return json.dumps(value)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`").replace("|", "\\|")


def main(folder: Path = Path("docs")) -> None:
    """Write schema, table and the methods' tables into ``folder``."""
    write_text(folder / SCHEMA_FILE, json.dumps(json_schema(), indent=2) + "\n")
    write_text(folder / TABLE_FILE, reference_table())
    for page in sorted((folder / METHODS_FOLDER).glob("*.md")):
        write_text(page, with_settings(page.read_text()))


if __name__ == "__main__":
    main()
