import copy
from pathlib import Path

import pytest
from torch import nn

from wsss_core.config import load_config, read_yaml
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.networks.weights import save_weights
from wsss_core.plan.imported_weights import unfit_weights

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")
OPTIONS = {"atrous_rates": [1, 2, 4], "low_level_skip": True}
SMALL = describe_trunk(load_config(DEMO).backbones["small"])
FITTING = {"kind": "segmenter", "network": "deeplab", "options": OPTIONS, "trunk": SMALL}


def faults(path, section="segmenters", variant="deeplab", epochs=0):
    raw = copy.deepcopy(DEMO)
    raw[section][variant] |= {"weights": str(path)}
    raw[section][variant]["optimisation"] = {"epochs": epochs}
    return list(unfit_weights(load_config(raw)))


@pytest.mark.parametrize(
    ("description", "epochs", "fault"),
    [
        (FITTING, 0, None),
        ({**FITTING, "kind": "classifier"}, 0, "holds weights of a classifier, not of a segmenter"),
        ({**FITTING, "trunk": {"network": "vgg16"}}, 3, "has a trunk with network: vgg16; backbones.small has resnet_"),
        ({**FITTING, "trunk": {**SMALL, "pixels": "caffe"}}, 3, "has a trunk with pixels: caffe; backbones.small has"),
        ({**FITTING, "trunk": {**SMALL, "output_stride": 16}}, 0, "has a trunk with output_stride: 16; backbones.sm"),
        ({**FITTING, "trunk": {**SMALL, "output_stride": 16}}, 3, None),  # its weights fit
        ({**FITTING, "classes": ["cat"]}, 0, "is used as it is, and its classes is ['cat'], not ['"),
        ({**FITTING, "network": "largefov"}, 0, "is used as it is, and its network is largefov, not deeplab"),
        ({**FITTING, "network": "largefov"}, 3, None),  # its trunk is enough
        ({**FITTING, "options": {}}, 0, "and its options is {}, not"),
        ("no object", 0, "does not say which network its weights belong to; `python -m"),
    ],
)
def test_what_a_file_says_of_its_network(tmp_path, description, epochs, fault):
    path = tmp_path / "net.safetensors"
    save_weights(path, nn.Linear(1, 1), description)
    found = faults(path, epochs=epochs)
    if fault is None:
        assert found == []
    else:
        assert len(found) == 1 and found[0].startswith(f"segmenters.deeplab.weights: {path} ") and fault in found[0]


def test_missing_and_damaged_files(tmp_path):
    path = tmp_path / "net.safetensors"
    assert f"there is no file {path}; `python -m" in faults(path)[0]
    path.write_bytes(b"junk")
    assert f"{path} is damaged or no .safetensors file" in faults(path)[0]


@pytest.mark.parametrize(("section", "variant"), [("classifiers", "ordinary"), ("affinities", "affinitynet")])
def test_classifiers_and_affinities_too(tmp_path, section, variant):
    path = tmp_path / "net.safetensors"
    save_weights(path, nn.Linear(1, 1), {"kind": "irn"})
    (fault, *_) = faults(path, section, variant)
    assert fault.startswith(f"{section}.{variant}.weights: {path} holds weights of a irn, not of a")
