"""Files of CLIP's tower and of texts' features that say what planning asks of them, without weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from wsss_core.config import load_config
from wsss_core.config.classifiers import ClipClassifier
from wsss_core.config.text_descriptions import KIND
from wsss_core.config.trained_on import DESCRIPTION_KEY
from wsss_core.config.trunk_description import describe_trunk


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
        for name, description in ((settings.weights, tower), (settings.text_features, features)):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            save_file({"nothing": np.zeros(1)}, path, {DESCRIPTION_KEY: json.dumps(description)})
