"""Settings of a variant that are guesses, as nobody has published the paper's values."""

from collections.abc import Iterator, Mapping

from pydantic import Field, model_validator

from wsss_core.config.parameters import Parameters, settings_class


class Guesses(Parameters):
    """Base of variants that list which of their settings are guesses."""

    guessed: tuple[str, ...] = Field((), max_length=100, exclude=True)
    """Keys of this variant, such as ``optimisation.epochs``, whose values are guesses, as nobody has published them. No
    result depends on this; the summary marks the experiments that use the variant, and lists these keys and values."""

    @model_validator(mode="after")
    def _guessed_settings_exist(self) -> "Guesses":
        for key in self.guessed:
            kind: type[Parameters] | None = type(self)
            for part in key.split("."):
                if kind is None or part not in kind.model_fields or part == "guessed":
                    raise ValueError(
                        f"'guessed' names '{key}', which is no setting here; write keys with dots, such as "
                        "'optimisation.epochs'"
                    )
                kind = settings_class(kind.model_fields[part].annotation)
        return self

    def guesses(self) -> Iterator[str]:
        """Each guessed key with its value, in words; only the key for a block."""
        from wsss_core.config.values_in_words import in_words  # only the summary needs it

        for key in self.guessed:
            value: object = self
            for part in key.split("."):
                value = getattr(value, part, None)
            yield key if isinstance(value, Parameters) else f"{key}: {in_words(value)}"


def guesses_of(variants: Mapping[tuple[str, str], object]) -> list[str]:
    """The guessed settings of several variants.

    Args:
        variants: by section and name, the variants' settings.

    Returns:
        Such as ``segmenters.deeplab.optimisation.epochs: 12``, sorted.
    """
    return sorted(
        f"{section}.{name}.{guess}"
        for (section, name), settings in variants.items()
        if isinstance(settings, Guesses)
        for guess in settings.guesses()
    )
