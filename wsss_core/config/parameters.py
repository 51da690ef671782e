"""The base of every block of the configuration."""

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """A block of settings: typed, immutable, and closed (an unknown key is an error).

    The docstring under each field is its description: in the JSON schema that editors read
    and in the reference table of ``docs/configuration.md``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
