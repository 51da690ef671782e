"""The golden cases: what the authors' own code computed, and the weights it computed it with.

The recipe of weights and images, and the tolerances, are in ``tests/golden/README.md``.
"""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.conftest import GOLDEN

Change = Callable[[str, np.ndarray], np.ndarray]
"""From a weight's name and its value by the common recipe to its value in one network."""


class Case(dict[str, np.ndarray]):
    """The arrays of one golden file, by name."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            super().__init__({name: file[name] for name in file.files})

    def json(self, name: str) -> dict:
        """A field that holds JSON text."""
        return json.loads(str(self[name]))

    def tensor(self, name: str) -> Tensor:
        """A field as a tensor."""
        return torch.from_numpy(self[name])


def demeaned(weight: np.ndarray) -> np.ndarray:
    """A weight less its mean over input channels."""
    return weight - weight.mean(axis=1, keepdims=True)


def small_last_norm(ending: str) -> Change:
    """Weights whose name has this ending, times 0.2."""
    return lambda name, value: value * 0.2 if name.endswith(ending) else value


def _resnet50_cam(name: str, value: np.ndarray) -> np.ndarray:
    if name == "classifier.weight":
        return demeaned(0.05 * standard_normal(name, value.shape))
    return value * 0.2 if name.endswith("bn3.weight") else value


def _resnet38(name: str, value: np.ndarray) -> np.ndarray:
    if name in ("fc8.weight", "fc9.weight") and value.shape[0] == 20:
        return demeaned(value)
    if name.endswith(".conv_branch2b2.weight"):
        return value * 0.3
    if name.endswith(".conv_branch2b1.weight") and not name.startswith(("b6.", "b7.")):
        return value * 0.3
    return value


def _deeplabv2(name: str, value: np.ndarray) -> np.ndarray:
    if name == "base.layer1.conv1.conv.weight":
        return value * 0.02
    if ".aspp." in name and name.endswith(".weight"):
        return demeaned(0.02 * standard_normal(name, value.shape))
    return value * 0.2 if name.endswith("increase.bn.weight") else value


def _seenet(name: str, value: np.ndarray) -> np.ndarray:
    if name == "conv1_1.weight":
        return value * 0.02
    if name in ("score_b1.weight", "score_b2.weight"):
        return demeaned(0.05 * standard_normal(name, value.shape))
    return value


def _mctformer_plus(name: str, value: np.ndarray) -> np.ndarray:
    if name == "cls_token":
        return 0.5 * standard_normal(name, value.shape)
    if name in ("pos_embed_cls", "pos_embed_pat"):
        return 0.3 * standard_normal(name, value.shape)
    return value * 0.2 if name == "head.weight" else value


def _clip_es(name: str, value: np.ndarray) -> np.ndarray:
    if name in ("visual.class_embedding", "visual.positional_embedding"):
        return 0.3 * standard_normal(name, value.shape)
    return np.log(100.0 + np.zeros(value.shape)) if name == "logit_scale" else value


CHANGES: dict[str, Change] = {
    "resnet50_cam": _resnet50_cam,
    "irn": small_last_norm("bn3.weight"),
    "resnet38_oc_cse": _resnet38,
    "resnet38_aeft": _resnet38,
    "resnet38_aff": _resnet38,
    "deeplabv2_msc": _deeplabv2,
    "seenet": _seenet,
    "mctformer_plus": _mctformer_plus,
    "clip_es": _clip_es,
}
"""By the part of ``names_<network>.json`` that tells the networks apart."""


def standard_normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that belong to a name, float64."""
    return np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).standard_normal(shape)


def authors_names(network: str) -> dict[str, list[int]]:
    """Shapes by name of an authors' network."""
    return json.loads((GOLDEN / f"names_{network}.json").read_text())["names"]


def check_sums(state: dict[str, Tensor], case: Case) -> None:
    """Compare weights made by the recipe with the sums that a case's options have of them."""
    options = case.json("options_json")
    if "weights_sum" in options:
        wide = [tensor.double() for tensor in state.values()]
        assert np.isclose(sum(w.sum().item() for w in wide), options["weights_sum"], rtol=1e-9)
        assert np.isclose(sum(w.square().sum().item() for w in wide), options["weights_sumsq"], rtol=1e-9)


def authors_weights(
    network: str, seed_prefix: str = "", names: dict[str, list[int]] | None = None
) -> dict[str, Tensor]:
    """The state dict of an authors' network, made by the recipe.

    Args:
        network: a key of ``CHANGES``.
        seed_prefix: set before a name when its numbers are drawn (``cl.`` for OC-CSE's frozen classifier).
        names: shapes by name, where they are not those of ``names_<network>.json``.
    """
    state = {}
    for name, shape in (names or authors_names(network)).items():
        normal = standard_normal(seed_prefix + name, tuple(shape))
        leaf = name.rpartition(".")[2]
        if leaf == "running_mean":
            value = 0.1 * normal
        elif leaf == "running_var":
            value = 1 + 0.1 * np.abs(normal)
        elif leaf.endswith("bias"):
            value = 0.01 * normal
        elif len(shape) == 1 and leaf == "weight":  # of batch, group or layer normalisation
            value = 1 + 0.1 * normal
        else:
            value = normal * np.sqrt(2 / np.prod(shape[1:]))
        state[name] = torch.from_numpy(np.asarray(CHANGES[network](name, value), np.float32))
    return state
