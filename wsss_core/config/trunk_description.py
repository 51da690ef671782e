"""A trunk's settings as JSON values, for artifacts' parameters and files of weights, and back."""

from collections.abc import Mapping
from typing import Any

from wsss_core.config.extensions import load_source, source_of
from wsss_core.config.networks import OF_WEIGHTS, Backbone, Trunk
from wsss_core.config.sections import SECTIONS


def describe_trunk(trunk: Trunk) -> dict[str, Any]:
    """The settings as JSON values, from which :func:`read_trunk` makes them again."""
    own = trunk.model_dump(mode="json", exclude=set(OF_WEIGHTS))
    source = source_of(trunk)
    return own if source is None else {**own, "extension": dict(source)}


def read_trunk(description: Mapping[str, Any]) -> Trunk:
    """A trunk's settings from the values of :func:`describe_trunk`.

    Raises:
        UserError: the extension that the trunk comes from is gone or has changed.
        ValueError: the settings are not a trunk's.
    """
    load_source(description)
    own = {key: value for key, value in description.items() if key != "extension"}
    kind = SECTIONS["backbones"].kind(own.get("network"))
    if kind is Backbone:
        return Trunk(**own)
    assert issubclass(kind, Backbone)
    return kind(**own, weights="scratch")


def trunk_of(backbone: Backbone) -> Trunk:
    """The trunk alone, without the source of its weights."""
    return read_trunk(describe_trunk(backbone))
