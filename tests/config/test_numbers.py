"""Every number of the configuration has a range, and takes nothing else for a number."""

from typing import Annotated, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.numbers import numeric_fields
from wsss_core.config.parameters import Parameters
from wsss_core.config.root import Config
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.config.values_in_words import LONGEST, in_words


def settings_classes(base: type[BaseModel] = Parameters):
    for kind in base.__subclasses__():
        if kind.__module__.startswith("wsss_core."):
            yield kind
        yield from settings_classes(kind)


NUMERIC = sorted(
    {(kind, key) for kind in settings_classes() for key in numeric_fields(kind) if kind is not Config},
    key=lambda entry: (entry[0].__name__, entry[1]),
)


def numbers_in(annotation, metadata=()):
    """The numbers inside an annotation, each with its constraints."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        of_fields = [m for item in own for m in (item.metadata if isinstance(item, FieldInfo) else [item])]
        yield from numbers_in(inner, (*metadata, *of_fields))
    elif annotation in (int, float):
        yield metadata
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from numbers_in(part, metadata)


def is_list(kind, key):
    return any(get_origin(part) is tuple for part in (kind.model_fields[key].annotation, *_parts(kind, key)))


def _parts(kind, key):
    for part in get_args(kind.model_fields[key].annotation):
        yield part
        yield from get_args(part)


def refused(kind, key, value):
    """Whether the key is reported to be wrong; other keys that are missing do not count."""
    given = [value, value] if is_list(kind, key) else value
    try:
        kind.model_validate({key: given})
    except ValidationError as error:
        return any(finding["loc"][:1] == (key,) for finding in error.errors())
    return False


@pytest.mark.parametrize(("kind", "key"), NUMERIC, ids=lambda part: getattr(part, "__name__", part))
def test_a_number_has_a_range_and_only_numbers_are_taken(kind, key):
    field = kind.model_fields[key]
    found = list(numbers_in(field.annotation, tuple(field.metadata)))
    assert found
    for constraints in found:
        assert any(isinstance(bound, Ge | Gt) for bound in constraints), "no lower bound"
        assert any(isinstance(bound, Le | Lt) for bound in constraints), "no upper bound"
    for value in (True, False, b"1", "true", 10**30, -(10**30), 10**5000, 1e300, float("nan"), float("inf"), -1e-300):
        assert refused(kind, key, value), value
    assert is_list(kind, key) or refused(kind, key, [1])


def test_a_number_with_an_exponent_and_without_a_point_is_one():
    """YAML 1.1 takes it for text."""
    assert Optimisation(learning_rate="1e-3", epochs="2e1").model_dump(include={"learning_rate", "epochs"}) == {
        "learning_rate": 0.001,
        "epochs": 20,
    }
    assert MultiscaleCams(classifier="c", threshold="3e-1", scales=["5e-1", 1]).scales == (0.5, 1)
    with pytest.raises(ValidationError):
        Augmentation(crop="1e30")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        ([True, {"a": "b"}], "[true, {'a': 'b'}]"),
        (10**5000, "10^4983 or so"),
        ("x" * 5000, f"'{'x' * LONGEST}"[: LONGEST - 4] + " ..."),
    ],
    ids=["nothing", "list", "huge", "long"],
)
def test_a_value_in_a_message_is_as_in_yaml_and_short(value, words):
    assert in_words(value) == words


def test_a_value_that_holds_itself_has_an_end_in_a_message():
    circle = []
    circle += [circle, circle]
    assert len(in_words(circle)) <= LONGEST
