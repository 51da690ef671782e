"""Sweeps: the experiments of a grid of values. Each has its own configuration and plan.

A point of the grid is the configuration with the point's values written into it. So everything downstream of a changed
setting follows, artifacts have their usual names, and if a point's values are later written into the file, everything
exists already.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wsss_core.config import Config, ConfigError, load_config
from wsss_core.config.loading import VARIANT_NAME, unknown_name
from wsss_core.config.parameters import overlay
from wsss_core.config.references import used_variants
from wsss_core.config.sections import SECTIONS
from wsss_core.config.sweeps import Sweep
from wsss_core.plan.plan import Artifact, Plan

PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,40}")
"""Values that can be in a point's name."""


@dataclass(frozen=True)
class Point:
    """One combination of a sweep's values: an experiment with its own name."""

    name: str
    """``<sweep>-<key>=<value>-...``; no experiment of the configuration can have a name with '-'."""
    values: Mapping[str, Any]
    """Its value for each key in ``fields``."""
    experiment: str
    """Name of the experiment that varies."""
    plan: Plan
    """Plan of the configuration with these values, and with only this experiment."""

    @property
    def stages(self) -> dict[str, Artifact]:
        """The artifact of each stage that the experiment passes through."""
        return self.plan.experiments[self.experiment]


def plan_sweeps(raw: Mapping[str, Any], plan: Plan) -> dict[str, list[Point]]:
    """Lay out every point of every sweep of a configuration.

    Args:
        raw: the configuration as read from YAML.
        plan: of the same configuration, checked; the points' artifacts are added to it.

    Returns:
        The points of each sweep, with the last key's values changing fastest.

    Raises:
        ConfigError: naming every key that does not exist or that the experiment does not use, every value that a key
            cannot have, and points that are the same.
    """
    faults: list[str] = []
    planned = {}
    for name, sweep in plan.config.sweeps.items():
        found = list(_misplaced(name, sweep, plan.config))
        faults.extend(found)
        if not found:
            planned[name] = _points(name, sweep, raw, plan, faults)
    if faults:
        raise ConfigError(faults)
    return planned


def short_names(fields: Iterable[str]) -> dict[str, str]:
    """The last part of each key, with as many parts before it as distinguish the keys."""
    fields = list(fields)
    names = {}
    for field in fields:
        parts = field.split(".")
        endings = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
        names[field] = next(e for e in endings if not any(f != field and f.endswith(f".{e}") for f in fields))
    return names


def value_in_words(value: Any) -> str:
    """A value as YAML writes it on one line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)  # dates


def _misplaced(name: str, sweep: Sweep, config: Config) -> Iterable[str]:
    """What is wrong with a sweep, without a look at its values."""
    path = f"sweeps.{name}"
    if not VARIANT_NAME.fullmatch(name):
        yield f"{path}: a name is made of letters, digits and '_'"
    if sweep.experiment not in config.experiments:
        where = ("sweeps", name, "experiment")
        yield unknown_name(where, "no such experiment", sweep.experiment, config.experiments)
    for field, values in sweep.fields.items():
        section, *rest = field.split(".")
        if section not in SECTIONS:
            yield unknown_name((path, "fields", field), "no section of variants", section, SECTIONS)
        elif len(rest) < 2 or rest[1] == "extends":
            yield f"{path}.fields.{field}: is not the key of a setting; write '<section>.<variant>.<key>'"
        elif rest[0] not in getattr(config, section):
            where = (path, "fields", field)
            yield unknown_name(where, f"no such variant in '{section}'", rest[0], getattr(config, section))
        if len({value_in_words(value) for value in values}) < max(2, len(values)):
            yield f"{path}.fields.{field}: needs two or more values, all different, not {list(values)!r}"


def _points(name: str, sweep: Sweep, raw: Mapping[str, Any], plan: Plan, faults: list[str]) -> list[Point]:
    """The sweep's points; what is wrong with them is added to ``faults``, without duplicates."""
    points: list[Point] = []
    found: dict[str, str] = {}
    results: dict[object, str] = {}
    for chosen in itertools.product(*(enumerate(values, start=1) for values in sweep.fields.values())):
        values = {field: value for field, (_, value) in zip(sweep.fields, chosen, strict=True)}
        try:
            config = _config_with(values, raw, plan.config)
        except ConfigError as error:
            # Other faults, such as those of variants that extend this one, follow from these.
            of_keys = [fault for fault in error.faults if _is_of(values, fault)]
            for fault in of_keys or error.faults:
                found.setdefault(fault, _fault_of_point(name, values, fault))
            continue
        used = used_variants(config, sweep.experiment)
        for field in values:
            section, variant, *_ = field.split(".")
            if (section, variant) not in used:
                listed = ", ".join(sorted(f"'{s}.{v}'" for s, v in used if s == section)) or f"nothing of '{section}'"
                fault = f"sweeps.{name}.fields.{field}: experiment '{sweep.experiment}' does not use it, but {listed}"
                found.setdefault(fault, fault)
        point = Point(_point_name(name, sweep, chosen), values, sweep.experiment, _plan_of(config, sweep, plan))
        points.append(point)
        # A fixed threshold is not part of any map, but of the maps' score.
        cams = config.cams.get(config.experiments[sweep.experiment].cams or "")
        result = (frozenset(a.digest for a in point.stages.values()), cams.threshold if cams else None)
        same = results.setdefault(result, point.name)
        if same != point.name and not found:
            found[name] = (
                f"sweeps.{name}: '{same}' and '{point.name}' are the same; nothing that the experiment makes depends "
                "on the difference"
            )
    faults.extend(found.values())
    return points


def _config_with(values: Mapping[str, Any], raw: Mapping[str, Any], config: Config) -> Config:
    """The checked configuration with these values in it."""
    changed = {key: value for key, value in raw.items() if key != "sweeps"}
    for field, value in values.items():
        section, variant, *keys = field.split(".")
        for key in reversed(keys):
            value = {key: value}
        kind = type(getattr(config, section)[variant])
        variants = changed[section]
        changed[section] = {**variants, variant: overlay(variants[variant], value, kind)}
    return load_config(changed)


def _plan_of(config: Config, sweep: Sweep, plan: Plan) -> Plan:
    alone = {sweep.experiment: config.experiments[sweep.experiment]}
    return Plan(config.model_copy(update={"experiments": alone}), shared_with=plan)


def _fault_of_point(name: str, values: Mapping[str, Any], fault: str) -> str:
    """A fault of a point's configuration, under the key that it comes from if that is clear."""
    if _is_of(values, fault):
        return f"sweeps.{name}.fields.{fault}"
    words = ", ".join(f"{field}: {value_in_words(value)}" for field, value in values.items())
    return f"sweeps.{name}: with {words}: {fault}"


def _is_of(values: Mapping[str, Any], fault: str) -> bool:
    """Whether a fault is about one of these keys, or a key in its block."""
    key = fault.partition(":")[0]
    return any(f"{key}.".startswith(f"{field}.") for field in values)


def _point_name(name: str, sweep: Sweep, chosen: Iterable[tuple[int, Any]]) -> str:
    """The sweep's name, and each key with its value; for a list, a block or a long word its position, after '@'."""
    parts = [name]
    for key, (place, value) in zip(short_names(sweep.fields).values(), chosen, strict=True):
        words = value_in_words(value)
        parts.append(f"{key}={words}" if PLAIN_VALUE.fullmatch(words) else f"{key}@{place}")
    return "-".join(parts)
