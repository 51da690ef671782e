"""Checks that the files that networks start from fit, as far as their descriptions say; before anything runs.

Without torch and without reading weights, as planning does this. What shows only when weights are read (names, shapes)
is reported by the job that reads them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors

from wsss_core.config import Config
from wsss_core.config.extensions import source_of
from wsss_core.config.text_descriptions import HOW_TO_MAKE, other_texts
from wsss_core.config.token_classifiers import ClipClassifier, MctformerClassifier
from wsss_core.config.trained_on import DESCRIPTION_KEY
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.errors import UserError

HOW_TO_IMPORT = "`python -m wsss_core import-weights` makes one from a checkpoint (docs/pretrained.md)"

ARCHITECTURE = {
    **{"ordinary": "class_maps", "cgnet": "class_maps", "aeft": "gated_pyramid", "seenet": "self_erasing"},
    "mctformer": "class_tokens",
}
"""The name of the network in a classifier's file, by objective."""


def unfit_weights(config: Config) -> Iterator[str]:
    """A line for each ``weights`` of a classifier, affinity or segmenter that is not a file of such a network.

    Args:
        config: checked, so that all variants that it refers to exist.
    """
    for section in ("classifiers", "affinities", "segmenters"):
        for name, variant in getattr(config, section).items():
            path = getattr(variant, "weights", None)
            if path is None:
                continue
            key = f"{section}.{name}.weights"
            if not Path(path).is_file():
                yield f"{key}: there is no file {path}; {HOW_TO_IMPORT}"
                continue
            try:
                description = _description(path)
            except UserError as error:
                yield f"{key}: {error}; {HOW_TO_IMPORT}"
                continue
            # An extension's network may have any name.
            if source_of(variant) is None:
                yield from (f"{key}: {path} {fault}" for fault in _faults(config, section, variant, description))
    yield from _unfit_texts(config)


def _unfit_texts(config: Config) -> Iterator[str]:
    """A line for each ``text_features`` that was not made from the texts of its classifier's settings."""
    for name, variant in config.classifiers.items():
        if not isinstance(variant, ClipClassifier):
            continue
        key, path = f"classifiers.{name}.text_features", variant.text_features
        if not Path(path).is_file():
            yield f"{key}: there is no file {path}; {HOW_TO_MAKE}"
            continue
        try:
            description = _description(path)
        except UserError as error:
            yield f"{key}: {error}; {HOW_TO_MAKE}"
            continue
        if config.dataset.class_names is not None:  # else only the data set's own files have them
            texts, background = variant.texts(config.dataset.class_names), variant.background_texts()
            if fault := other_texts(path, description, texts, background):
                yield f"{key}: {fault}"
                continue
        if fault := _other_lengths(variant):
            yield f"{key}: {fault}"


def _other_lengths(classifier: ClipClassifier) -> str | None:
    """A sentence if the features of the classes, the background and the tower do not have the same length."""
    path, lengths = classifier.text_features, []
    with safetensors.safe_open(path, framework="numpy") as file:
        for name in ("classes", "background"):
            shape = file.get_slice(name).get_shape() if name in file.keys() else []  # noqa: SIM118  no mapping
            if len(shape) != 2:
                return f"{path} is damaged: it must have two matrices, 'classes' and 'background'; {HOW_TO_MAKE}"
            lengths.append(shape[1])
    if lengths[0] != lengths[1]:
        return (
            f"{path} is damaged: the classes' features have the length {lengths[0]}, the background's {lengths[1]}; "
            f"{HOW_TO_MAKE}"
        )
    try:
        tower = _description(classifier.weights).get("embedding", lengths[0])
    except UserError:  # reported for the key 'weights'
        return None
    if tower != lengths[0]:
        return (
            f"{path} has features of the length {lengths[0]}, but the tower {classifier.weights} gives {tower}: they "
            "belong to another CLIP"
        )
    return None


def _description(path: str) -> dict[str, Any]:
    """What a file says about its network."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {})[DESCRIPTION_KEY])
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is damaged, or not a .safetensors file ({error})") from None
    except (KeyError, ValueError, RecursionError):
        description = None
    if not isinstance(description, dict):
        raise UserError(f"{path} does not say which network its weights belong to")
    return description


def _faults(config: Config, section: str, variant: Any, description: dict[str, Any]) -> Iterator[str]:
    kinds = {"classifiers": "classifier", "segmenters": "segmenter"}
    wanted, given = kinds.get(section) or variant.method, description.get("kind", "unknown network")
    if isinstance(variant, ClipClassifier):
        wanted = "clip"
    if given != wanted:
        yield f"holds weights of a {given}, not of a {wanted}"
        return
    whole = section == "affinities" or variant.optimisation.epochs == 0
    backbone = variant.backbone or config.classifiers[variant.classifier].backbone
    own = describe_trunk(config.backbones[backbone])
    trunk = description.get("trunk")
    for key, value in (trunk if isinstance(trunk, dict) else {}).items():
        # If the network is trained further, only the trunk's weights must fit; dropout matters only in training.
        if key in own and value != own[key] and (key in ("network", "model", "pixels") or (whole and key != "dropout")):
            yield f"has a trunk with {key}: {value}, but backbones.{backbone} has {own[key]}"
    if not whole:
        return
    wanted_too: dict[str, Any] = {}
    if section == "classifiers" and (objective := variant.objective) in ARCHITECTURE:
        given = description.get("architecture")
        if given is not None and given != ARCHITECTURE[objective]:
            yield f"is used as it is, and its architecture is {given}, not {ARCHITECTURE[objective]} (of {objective})"
            return
    if isinstance(variant, MctformerClassifier):
        options = description.get("options")
        for key, option, value in (
            ("augmentation.crop", "input_size", variant.augmentation.crop),
            ("ranking_decay", "ranking_decay", variant.ranking_decay),
        ):
            if isinstance(options, dict) and options.get(option, value) != value:
                yield f"is used as it is, and its {option} is {options[option]}, not {value} ('{key}')"
    if config.dataset.class_names is not None:  # else only the data set's own files have them
        wanted_too["classes"] = list(config.dataset.class_names)
    if section == "segmenters":
        wanted_too |= {"network": variant.network, "options": variant.options}
    for key, value in wanted_too.items():
        if key in description and description[key] != value:
            yield f"is used as it is, and its {key} is {description[key]}, not {value}"
