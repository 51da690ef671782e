"""Files of CLIP's tower and of texts' features: without weights, as planning needs none, or with random ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from wsss_core.config import load_config
from wsss_core.config.networks import Trunk
from wsss_core.config.text_descriptions import KIND
from wsss_core.config.token_classifiers import ClipClassifier
from wsss_core.config.trained_on import DESCRIPTION_KEY
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.importing.authors_formats import ImageTower
from wsss_core.networks.text_features import save_text_features
from wsss_core.networks.weights import save_weights

EMBEDDING = 8
"""Length of random features."""


def write_clip_files(raw: dict[str, Any], folder: Path) -> None:
    """Write into a folder what the classifiers with objective clip of a configuration name."""
    if not any(settings.get("objective") == "clip" for settings in raw.get("classifiers", {}).values()):
        return
    config = load_config(raw)
    for settings in config.classifiers.values():
        if not isinstance(settings, ClipClassifier):
            continue
        tower = {"kind": "clip", "trunk": describe_trunk(config.backbones[settings.backbone])}
        texts = settings.texts(config.dataset.class_names or ())
        features = {"kind": KIND, "texts": texts, "background_texts": settings.background_texts()}
        background = settings.background_texts()
        matrices = {"classes": np.zeros((len(texts), EMBEDDING)), "background": np.zeros((len(background), EMBEDDING))}
        files = ((settings.weights, tower, {"nothing": np.zeros(1)}), (settings.text_features, features, matrices))
        for name, description, tensors in files:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            save_file(tensors, path, {DESCRIPTION_KEY: json.dumps(description)})


def write_random_clip_files(raw: dict[str, Any], folder: Path) -> None:
    """Write the same files with random weights of the networks' true sizes, and features of random texts."""
    if not any(settings.get("objective") == "clip" for settings in raw.get("classifiers", {}).values()):
        return
    config = load_config(raw)
    torch.manual_seed(0)
    for settings in config.classifiers.values():
        if not isinstance(settings, ClipClassifier):
            continue
        backbone = config.backbones[settings.backbone]
        trunk = Trunk(**{key: value for key, value in backbone.model_dump().items() if key in Trunk.model_fields})
        tower = ImageTower(trunk, EMBEDDING)
        torch.nn.init.normal_(tower.projection)
        torch.nn.init.constant_(tower.logit_scale, 2.0)
        for name in (settings.weights, settings.text_features):
            (folder / name).parent.mkdir(exist_ok=True)
        description = {"kind": "clip", "trunk": describe_trunk(backbone), "embedding": EMBEDDING}
        save_weights(folder / settings.weights, tower, description)
        texts, background = settings.texts(config.dataset.class_names or ()), settings.background_texts()
        features = torch.randn(len(texts), EMBEDDING), torch.randn(len(background), EMBEDDING)
        save_text_features(folder / settings.text_features, *features, texts, background)
