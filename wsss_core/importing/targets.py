"""The networks of ours that files of other programs become."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from wsss_core.backbones.prepare_backbone import TrunkOnly
from wsss_core.config.networks import Trunk
from wsss_core.importing.authors_names import Naming, by_beginning
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import save_weights

COUNTER = "num_batches_tracked"
"""A buffer of batch normalisation that old files lack and that is not used here."""


@dataclass(frozen=True)
class Target:
    """A network of ours, and the names of its weights in the authors' file."""

    what: str
    """The expected content of the file, in words."""
    build: Callable[[Sequence[str]], nn.Module]
    """Builds the network for the names of the classes."""
    save: Callable[[Path | str, Any], None]
    """Writes the network."""
    naming: Naming
    """Converts our names to the authors'."""
    dropped: Callable[[str], bool] = lambda name: False
    """Whether a name of the authors has no counterpart here."""
    head: str | None = None
    """The authors' name of the weight with a row for each class; None for networks without classes."""
    background: bool = False
    """Whether the head's first row is the background's."""
    added: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = lambda state: {}
    """Makes our network's additional weights from the authors', under the names from ``naming``."""


def classifier_target(
    what: str,
    architecture: type[ClassMapClassifier],
    trunk: Trunk,
    beginnings: Mapping[str, str],
    head: str,
    dropped: tuple[str, ...] = (),
) -> Target:
    """A classifier whose names differ from the authors' only in their beginnings."""
    return Target(
        what,
        lambda classes: architecture(trunk, classes),
        save_classifier,
        by_beginning(beginnings),
        lambda name: name.startswith(dropped),
        head,
    )


def backbone_target(what: str, trunk: Trunk, naming: Naming, *dropped: str) -> Target:
    """A trunk; names that begin with one of ``dropped`` are ignored."""
    description = {"kind": "backbone", "backbone": trunk.model_dump(mode="json")}
    return Target(
        what,
        lambda classes: TrunkOnly(build_trunk(trunk)),
        lambda path, network: save_weights(path, network, description),
        naming,
        lambda name: name.startswith(dropped),
    )


def names_in_words(state: Mapping[str, Tensor]) -> str:
    """The first names in a file, for a message."""
    names = list(state)
    return f"its {len(names)} names are {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
