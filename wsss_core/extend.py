"""What a file of one's own imports: everything that an extension is made of (docs/adding_a_method.md).

Each name is imported when it is asked for: settings alone need no torch.
"""

import importlib
from typing import Any

_NAMES = {
    "config.extensions": ("register",),
    "config.parameters": ("Parameters",),
    "config.networks": ("Backbone",),
    "config.classifiers": ("Classifier", "SeenetClassifier", "CgnetClassifier", "AeftClassifier"),
    "config.cams": ("Cams",),
    "config.refinement": ("AffinityNet", "Irn", "LearnedAffinity", "TrainingFreeAffinity"),
    "config.spreading": ("Spreading", "Walk"),
    "config.training": ("Optimisation",),
    "errors": ("UserError",),
    "networks.trunk_network": ("TrunkNetwork",),
    "networks.batch_norm": ("freeze_batch_norm",),
    "classifiers.objective": ("Objective",),
    "classifiers.seenet": ("SeenetObjective",),
    "classifiers.cgnet": ("CgnetObjective",),
    "classifiers.aeft": ("AeftObjective",),
    "datasets.transforms": ("normalise",),
    "cams.methods": ("cam_method", "side_by_side_method"),
    "cams.map_sizes": ("SummedMaps",),
    "inference.scaled_images": ("ScaledImages", "pixels_at_once"),
    "jobs.devices": ("sent_to",),
    "refinement.affinity_method": ("AffinityMethod", "TrainingFreeMethod"),
    "refinement.affinity_pairs": ("neighbour_offsets",),
    "refinement.random_walk": ("random_walk",),
    "refinement.affinitynet": ("AffinityNetMethod",),
    "refinement.irn": ("IrnMethod",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wsss_core.extend' has no attribute '{name}'; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"wsss_core.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
