"""One of a CRF, PAR and PAMR: what inherits, what excludes, and what stays out of digests."""

import pytest

from wsss_core.config import ConfigError, load_config
from wsss_core.config.averaging import ClassThresholds, Pamr, Par, refinement_in
from wsss_core.config.crf import Crf

from .test_loading import small


def affinities_of(**variants):
    config = small(affinities=variants)
    config["experiments"] = {name: {"cams": "cam", "affinity": name} for name in variants}
    return load_config(config).affinities


def irn(**labels):
    return {"method": "irn", "backbone": "trunk", "labels": labels}


def test_giving_one_takes_the_default_away():
    found = affinities_of(
        plain={"method": "none"},
        par={"method": "none", "pseudo_labels": {"par": {"iterations": 15}}},
        nothing={"method": "none", "pseudo_labels": {"crf": None}},
        irn=irn(),
        irn_pamr=irn(pamr={}),
    )
    assert found["plain"].pseudo_labels.refinement == Crf()
    assert found["par"].pseudo_labels.refinement == Par(iterations=15) and found["par"].pseudo_labels.crf is None
    assert found["nothing"].pseudo_labels.refinement is None
    assert found["irn"].labels.refinement.unary == "labels"
    assert found["irn_pamr"].labels.refinement == Pamr() and found["irn_pamr"].labels.crf is None


def test_giving_one_takes_an_inherited_other_away():
    found = affinities_of(
        irn=irn(crf={"iterations": 3}),
        par={"extends": "irn", "labels": {"par": {}}},
        crf={"extends": "par", "labels": {"crf": {"iterations": 4}}},
        longer={"extends": "par", "labels": {"par": {"iterations": 20}}},
    )
    assert found["par"].labels.refinement == Par()
    assert found["longer"].labels.refinement == Par(iterations=20)
    assert found["crf"].labels.refinement.iterations == 4
    # A block that is given in part is still laid over the method's own.
    assert found["irn"].labels.crf.bilateral_sxy == 50 and found["irn"].labels.crf.iterations == 3


@pytest.mark.parametrize(
    ("labels", "reported"),
    [
        ({"crf": {}, "par": {}}, "give at most one of 'crf', 'par' and 'pamr', not 'crf' and 'par'"),
        ({"par": {"dilations": [4, 2]}}, "from the smallest to the largest"),
        ({"par": {"dilations": []}}, "par.dilations"),
        ({"pamr": {"shrink": 3}}, "pamr.shrink"),
        ({"par": {"width": 0}}, "par.width"),
        ({"pamr": {"class_thresholds": {}}}, "'pamr.class_thresholds' is for 'pseudo_labels'"),
        ({"par": {"class_thresholds": {}}}, "par.class_thresholds"),
    ],
)
def test_what_cannot_be_meant_is_reported(labels, reported):
    with pytest.raises(ConfigError) as caught:
        affinities_of(irn=irn(**labels))
    assert reported in str(caught.value)


def test_class_thresholds_go_with_pamr():
    thresholds = {"objects": 0.5}
    found = affinities_of(
        pamr={"method": "none", "pseudo_labels": {"pamr": {"class_thresholds": thresholds}}},
        longer={"extends": "pamr", "pseudo_labels": {"pamr": {"iterations": 20}}},
        par={"extends": "pamr", "pseudo_labels": {"par": {}}},
        all_pixels={"extends": "pamr", "pseudo_labels": {"pamr": {"class_thresholds": None}, "unsure_below": 0.5}},
    )
    kept = ClassThresholds(objects=0.5, background=0.7, lowest=0.2)
    assert found["pamr"].pseudo_labels.refinement == Pamr(class_thresholds=kept)
    assert found["longer"].pseudo_labels.refinement == Pamr(class_thresholds=kept, iterations=20)
    assert found["par"].pseudo_labels.refinement == Par()
    dumped = found["all_pixels"].pseudo_labels.model_dump(mode="json")["pamr"]
    assert dumped == Pamr().model_dump(mode="json") and "class_thresholds" not in dumped
    parameters = found["pamr"].pseudo_labels.model_dump(mode="json")
    assert refinement_in(parameters) == Pamr(class_thresholds=kept)


@pytest.mark.parametrize(
    ("pseudo_labels", "reported"),
    [
        ({"pamr": {"class_thresholds": {}}, "unsure_below": 0.5}, "at most one of 'unsure_below' and 'pamr.class_"),
        ({"pamr": {"class_thresholds": {"lowest": 1}}}, "pamr.class_thresholds.lowest"),
        ({"class_thresholds": {}}, "pseudo_labels.class_thresholds"),
    ],
)
def test_class_thresholds_elsewhere_are_reported(pseudo_labels, reported):
    with pytest.raises(ConfigError) as caught:
        affinities_of(none={"method": "none", "pseudo_labels": pseudo_labels})
    assert reported in str(caught.value)


def test_defaults_stay_out_of_digests():
    found = affinities_of(irn=irn(), joined={"method": "none", "pseudo_labels": {"sam_masks": {"folder": "masks"}}})
    assert not {"par", "pamr", "sam_masks"} & {
        *found["irn"].labels.model_dump(),
        *found["irn"].pseudo_labels.model_dump(),
    }
    assert found["joined"].pseudo_labels.model_dump(mode="json")["sam_masks"]["folder"] == "masks"


def test_an_artifacts_refinement_comes_back():
    assert refinement_in({"crf": None, "par": {"iterations": 3}}) == Par(iterations=3)
    assert refinement_in({"crf": {"iterations": 3}}) == Crf(iterations=3)
    assert refinement_in({"crf": None, "background": {}}) is None
