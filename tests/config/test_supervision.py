import copy
from pathlib import Path

import pytest

from wsss_core.config import ConfigError, load_config, read_yaml
from wsss_core.score_conditions import labels_in_words

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
        ({**WEAK, "masks_of": {"share": 0.5}}, {}, "experiments.it.masks_of.file: is missing"),
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


@pytest.mark.parametrize(
    ("experiment", "consistency", "words"),
    [
        (WEAK, None, "pseudo"),
        (WEAK, {}, "pseudo"),
        (MASKS, None, "masks"),
        ({**WEAK, "masks_of": "a.txt"}, None, "masks of a.txt, pseudo"),
        ({**WEAK, "masks_of": {"file": "a.txt", "share": 0.5, "pseudo_weight": 0}}, {}, "masks of a.txt, pseudo"),
        ({**MASKS, "masks_of": "a.txt"}, None, "masks of a.txt"),
        ({**MASKS, "masks_of": {"file": "a.txt", "share": 0.5}}, {}, "masks of a.txt"),
    ],
)
def test_the_labels_used_are_told_in_words(experiment, consistency, words):
    assert labels_in_words(checked(experiment, consistency=consistency)) == words
