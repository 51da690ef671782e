"""From a YAML file to plain values, and what YAML reads in another way than it was meant."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from wsss_core.config.sections import SECTIONS
from wsss_core.config.values_in_words import in_words
from wsss_core.errors import UserError

DEEPEST = 50
"""Levels of keys that a file may have; a right configuration has a tenth of them."""


class ConfigError(UserError):
    """The configuration's faults, a line each: ``key.path: what is wrong; what is allowed``."""

    def __init__(self, faults: Iterable[str]) -> None:
        """Gather the lines of ``faults`` into one message."""
        self.faults = list(faults)
        super().__init__("The configuration is not right:\n" + "\n".join(f"  {fault}" for fault in self.faults))


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice (plain YAML keeps the last one silently)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        # Python reports an impossible date (2024-31-12) or `!!int abc` without the line.
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            problem = f"{in_words(node.value)} cannot be read as {node.tag.rpartition(':')[2]}; if it is text, quote it"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # `<<: *anchor`
        keys = [self.construct_object(key, deep=True) for key in own]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                mark = own[position].start_mark
                raise ConfigError([f"{mark.name}, line {mark.line + 1}: the key '{key}' is given twice"])
        return super().construct_mapping(node, deep)


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        ConfigError: the file is missing, not YAML, not a mapping, or has a key twice.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, _UniqueKeyLoader)  # a SafeLoader
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: its brackets or blocks are nested too deeply to be read"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: is not YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(content, dict):
        held = "nothing" if content is None else in_words(content)
        raise ConfigError([f"{path}: holds {held}, not a mapping of keys to values"])
    return content


def misread_parts(raw: Mapping[str, Any]) -> list[str]:
    """A line for each key that YAML does not read as text (except names of variants), and for what contains itself.

    Args:
        raw: a configuration as read from YAML.
    """
    return list(_misread(raw, (), (), set()))


def _misread(node: Any, path: tuple[str, ...], around: tuple[int, ...], seen: set[int]) -> Iterable[str]:
    """The lines about a part of a configuration.

    Args:
        node: a part of the configuration.
        path: the keys that lead to it.
        around: identities of the parts that contain it.
        seen: identities of the parts visited so far: through an anchor, one part may be in many places.
    """
    if not isinstance(node, Mapping | list | tuple):
        return
    if id(node) in around:
        yield f"{'.'.join(path)}: contains itself, as an anchor (&name) and its alias (*name) form a circle"
        return
    if id(node) in seen:
        return
    if len(path) > DEEPEST:
        yield f"{'.'.join(path[:3])}: contains itself or {DEEPEST} further levels; no setting is that deep"
        return
    seen.add(id(node))
    for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
        if isinstance(node, Mapping) and not isinstance(key, str) and not (len(path) == 1 and path[0] in SECTIONS):
            where = ".".join((*path, str(key)))
            yield f"{where}: YAML reads this key as {in_words(key)}, not as text; put it in quotes if you mean it"
        yield from _misread(value, (*path, str(key)), (*around, id(node)), seen)
