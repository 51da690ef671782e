import copy
from pathlib import Path

import pytest

from wsss_core.config import ConfigError, load_config, read_yaml
from wsss_core.config.semi_supervised import MasksOf

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")
WEAK = DEMO["experiments"]["cam"]
MASKS = {"labels": "masks", "segmenter": "deeplab"}


def checked(experiment, **segmenter):
    raw = copy.deepcopy(DEMO)
    raw["segmenters"]["deeplab"].update(segmenter)
    raw["experiments"] = {"it": experiment}
    return load_config(raw).experiments["it"]


@pytest.mark.parametrize(
    ("experiment", "segmenter", "fault"),
    [
        ({**WEAK, "masks_of": {"share": 0.5}}, {}, "experiments.it.masks_of: give exactly one of 'file'"),
        ({**WEAK, "masks_of": {"file": "a", "folder": "b"}}, {}, "experiments.it.masks_of: give exactly one of 'file'"),
        ({**WEAK, "masks_of": {"file": "a", "share": 1}}, {}, "experiments.it.masks_of.share: "),
        ({"cams": "cam", "masks_of": "a"}, {}, "'masks_of' needs a 'segmenter'"),
        ({**MASKS, "masks_of": {"file": "a", "pseudo_weight": 1}}, {}, "'masks_of.pseudo_weight' is for pseudo labels"),
        (
            {**MASKS, "masks_of": {"file": "a", "share": 0.5}},
            {},
            "experiments.it.masks_of.share: all images of each step have masks",
        ),
        (
            {**WEAK, "masks_of": {"file": "a", "pseudo_weight": 0}},
            {},
            "experiments.it.masks_of.pseudo_weight: must be above 0",
        ),
        (
            {**WEAK, "masks_of": "a"},
            {"weights": "a.safetensors", "optimisation": {"epochs": 0}},
            "experiments.it.masks_of: segmenters.deeplab is not trained",
        ),
        (MASKS, {"consistency": {}}, "experiments.it.segmenter: segmenters.deeplab.consistency is for images without"),
        (
            WEAK,
            {"consistency": {}, "weights": "a.safetensors", "optimisation": {"epochs": 0}},
            "'consistency' is a way of training",
        ),
        (
            WEAK,
            {
                "consistency": {
                    "decoders": dict.fromkeys(
                        ("noise", "drop", "dropout", "cutout", "without_objects", "without_context", "adversarial"), 0
                    )
                }
            },
            "segmenters.deeplab.consistency.decoders: at least one decoder is needed",
        ),
    ],
)
def test_what_would_have_no_effect_is_a_fault(experiment, segmenter, fault):
    with pytest.raises(ConfigError) as error:
        checked(experiment, **segmenter)
    assert fault in str(error.value)


def test_a_path_alone_is_a_block_that_others_are_laid_over():
    raw = copy.deepcopy(DEMO)
    raw["experiments"] = {"it": {**WEAK, "masks_of": "a.txt"}, "more": {"extends": "it", "masks_of": {"share": 0.5}}}
    raw["experiments"]["other"] = {"extends": "more", "masks_of": "b.txt"}
    experiments = load_config(raw).experiments
    assert experiments["it"].masks_of == MasksOf(file="a.txt")
    assert experiments["more"].masks_of == MasksOf(file="a.txt", share=0.5)
    assert experiments["other"].masks_of == MasksOf(file="b.txt")
