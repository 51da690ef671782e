"""From an artifact's parameters back to its settings."""

from collections.abc import Mapping
from typing import Any

from wsss_core.config.extensions import load_source
from wsss_core.config.sections import REFERENCES, SECTIONS


def stage_settings(section: str, parameters: Mapping[str, Any]) -> Any:
    """Rebuild the settings that an artifact's parameters were made from.

    Args:
        section: the section that the stage's variants are in.
        parameters: as :class:`wsss_core.plan.plan.Plan` gives them to the artifact: references to other variants
            are left out, because those artifacts are upstream, and ``trunk`` stands in for the backbone. A
            segmenter's ``masks_of`` is its experiment's.

    Returns:
        An object of the section's settings class. Its required references are ``upstream``.

    Raises:
        UserError: the extension that the settings class comes from is gone or has changed.
    """
    load_source(parameters)
    kinds = SECTIONS[section]
    kind = kinds.kind(parameters.get(kinds.kind_key) if kinds.kind_key else None)
    references = {
        name: "upstream"
        for name in REFERENCES.get(section, ())
        if name in kind.model_fields and (name == "backbone" or kind.model_fields[name].is_required())
    }
    own = {name: value for name, value in parameters.items() if name not in ("trunk", "extension", "masks_of")}
    return kind(**own, **references)
