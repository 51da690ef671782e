import re
from pathlib import Path

import pytest
import yaml

from wsss_core.config import ConfigError, load_config, read_yaml
from wsss_core.config.background import Threshold
from wsss_core.config.networks import Pretext
from wsss_core.config.refinement import AffinityNet, LearnedAffinity
from wsss_core.config.segmentation import DeepLab, DeepLabV2
from wsss_core.config.training import Augmentation

REPOSITORY = Path(__file__).parents[2]
SHIPPED = sorted([REPOSITORY / "config.yaml", *(REPOSITORY / "configs").glob("*.yaml")])


def small(**sections):
    base = {
        "dataset": {"root": "data/voc"},
        "backbones": {"trunk": {"network": "resnet50"}},
        "classifiers": {"ordinary": {"objective": "ordinary", "backbone": "trunk"}},
        "cams": {"cam": {"method": "multiscale", "classifier": "ordinary"}},
        "experiments": {"cam": {"cams": "cam"}},
    }
    return {**base, **sections}


ORDINARY = {"objective": "ordinary", "backbone": "trunk"}
CAM = {"method": "multiscale", "classifier": "ordinary"}
IRN = {"method": "irn", "backbone": "trunk"}
AEFT = {"objective": "aeft", "backbone": "trunk"}


def faults_of(**sections):
    with pytest.raises(ConfigError) as caught:
        load_config(small(**sections))
    return caught.value.faults


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path):
    assert load_config(read_yaml(path)).experiments


RECIPES = {
    "voc12-advcam-irn": ("deeplabv2", "resnet101", 20_000 * 10),
    "voc12-advcam-semi": ("pspnet", "resnet50", 912 * 80 * 20),
    "voc12-advcam-affinitynet": ("deeplabv2", "resnet101", 20_000 * 10),
    "voc12-cgnet": ("largefov", "resnet38", 20_000 * 10),
    "voc12-aeft": ("largefov", "resnet38", 20_000 * 10),
    "voc12-seenet": ("largefov", "vgg16", 6_000 * 20),
    "voc12-mctformer": ("largefov", "resnet38", 20_000 * 10),
    "voc12-clipes": ("deeplabv2", "resnet101", 20_000 * 10),
    "coco14-mctformer": ("largefov", "resnet38", 100_000 * 10),
    "coco14-clipes": ("deeplabv2", "resnet101", 100_000 * 10),
    "coco14-advcam-irn": ("deeplabv2", "resnet101", 100_000 * 10),
    "coco14-cgnet": ("largefov", "resnet38", 100_000 * 10),
    "coco14-aeft": ("largefov", "resnet38", 100_000 * 10),
}
"""The papers' segmenter, its trunk, and how many images it is trained on, with repetitions."""
FURTHER_SEGMENTERS = {
    ("voc12-seenet", "seenet_saliency_resnet101"): ("deeplabv2", "resnet101", 20_000 * 10),
    ("voc12-advcam-irn", "irn"): ("deeplabv2", "resnet50", 20_000 * 10),
}
"""The same of experiments with another one, as of another paper."""
TRAINED_ON = {"voc12": 10_582, "coco14": 82_081}
"""Training images: VOC's train_aug, and those of MS-COCO's train2014 that show a class."""
FIGURES = {
    ("voc12-advcam-irn", "cam"): (48.3, 66.5, None, None),
    ("voc12-advcam-irn", "irn"): (48.3, 66.5, 63.5, 64.8),
    ("voc12-advcam-semi", "advcam_semi"): (None, None, 77.8, 76.9),
    ("voc12-advcam-irn", "advcam"): (55.6, 69.9, 68.1, 68.0),
    ("voc12-advcam-affinitynet", "advcam"): (55.6, 68.0, None, None),
    ("voc12-cgnet", "cgnet"): (56.0, 66.9, 68.4, 68.2),
    ("voc12-aeft", "aeft"): (56.0, None, 70.9, 71.7),
    ("voc12-seenet", "seenet_saliency"): (None, None, 61.1, 60.7),
    ("voc12-seenet", "seenet_saliency_resnet101"): (None, None, 63.1, 62.8),
    ("voc12-mctformer", "mctformer"): (68.8, 76.2, 74.0, 73.6),
    ("voc12-clipes", "clipes"): (70.8, 75.0, 71.1, 71.4),
    ("coco14-mctformer", "mctformer"): (None, None, 45.2, None),
    ("coco14-clipes", "clipes"): (None, None, 45.4, None),
    ("coco14-cgnet", "cgnet"): (None, None, 36.4, None),
    ("coco14-aeft", "aeft"): (None, None, 44.8, None),
}
"""The papers' figures: seed, pseudo labels, val, test."""


def test_every_recipe_of_a_paper_is_known_here():
    shipped = {path.stem for path in SHIPPED if path.stem.startswith(("voc12-", "coco14-"))}
    assert shipped - {"voc12-laptop"} == set(RECIPES)
    assert {recipe for recipe, _ in FIGURES} <= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_states_what_the_papers_published_and_nothing_else(recipe):
    config = load_config(read_yaml(REPOSITORY / "configs" / f"{recipe}.yaml"))
    for name, experiment in config.experiments.items():
        published, expected = experiment.published, FIGURES.get((recipe, name))
        assert (published is None) == (expected is None)
        if published is not None:
            assert (published.seed, published.pseudo_labels, published.val, published.test) == expected
            assert published.source


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_what_it_needs_of_a_gpu_and_that_this_is_an_estimate(recipe):
    head = (REPOSITORY / "configs" / f"{recipe}.yaml").read_text().split("\ndataset:")[0]
    assert "ESTIMATE, not measured" in head
    config = load_config(read_yaml(REPOSITORY / "configs" / f"{recipe}.yaml"))
    for experiment in config.experiments.values():
        used = {"cams": experiment.cams, "affinity": experiment.affinity, "segmenter": experiment.segmenter}
        if experiment.cams and config.classifiers[config.cams[experiment.cams].classifier].optimisation.epochs > 0:
            used["classifier"] = config.cams[experiment.cams].classifier
        if experiment.affinity and not isinstance(config.affinities[experiment.affinity], LearnedAffinity):
            del used["affinity"]  # nothing is trained
        for stage, name in used.items():
            memory = "" if stage == "cams" else r", \d+ GiB"
            assert name is None or re.search(
                rf"^#   {stage} {name}: [\d.]+ h{memory}(, each of \d+ jobs)?$", head, re.M
            ), (
                stage,
                name,
            )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_reads_what_the_papers_trained_on(recipe):
    dataset = load_config(read_yaml(REPOSITORY / "configs" / f"{recipe}.yaml")).dataset
    if dataset.name == "voc12":
        assert (dataset.format, dataset.splits.train, dataset.splits.val) == ("voc", "train_aug", "val")
        assert dataset.sbd is not None
        assert len(dataset.class_names) == 20
    else:
        assert (dataset.format, dataset.name, str(dataset.root)) == ("coco", "coco14", "data/coco")
        assert len(dataset.class_names) == 80


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_the_papers_segmenter_as_long_as_the_reference(recipe):
    config = load_config(read_yaml(REPOSITORY / "configs" / f"{recipe}.yaml"))
    for name, experiment in config.experiments.items():
        network, trunk, images = FURTHER_SEGMENTERS.get((recipe, name), RECIPES[recipe])
        if experiment.segmenter is None:
            continue
        segmenter = config.segmenters[experiment.segmenter]
        backbone = config.backbones[segmenter.backbone]
        assert (segmenter.network, backbone.network, backbone.output_stride) == (network, trunk, 8)
        assert trunk == "resnet38" or backbone.dilated
        trained_on = TRAINED_ON[config.dataset.name]
        steps = segmenter.optimisation.epochs * (trained_on // segmenter.optimisation.batch_size)
        # Epochs are whole numbers: half of one may be missing.
        assert steps * segmenter.optimisation.batch_size == pytest.approx(images, abs=trained_on / 2)
        assert (segmenter.prediction.crf is None) == (network == "pspnet")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_papers_recipe_and_the_demo_have_the_widths_of_crfs_in_pixels(recipe):
    """As the authors' code, whatever an image's size: most of VOC's have 500, COCO's 640, the demo's 96."""
    for path in (REPOSITORY / "configs" / f"{recipe}.yaml", REPOSITORY / "config.yaml"):
        config = load_config(read_yaml(path))
        crfs = [segmenter.prediction.crf for segmenter in config.segmenters.values()]
        for affinity in config.affinities.values():
            crfs += [affinity.pseudo_labels.crf, *([affinity.labels.crf] if hasattr(affinity, "labels") else [])]
        assert {crf.long_side for crf in crfs if crf is not None} == {None}


def test_deeplabv2s_defaults_are_the_references():
    settings = DeepLabV2(backbone="b")
    optimisation = settings.optimisation
    assert (optimisation.batch_size, optimisation.accumulate) == (10, 2)
    assert (optimisation.learning_rate, optimisation.head_factor, optimisation.momentum) == (2.5e-4, 10, 0.9)
    assert (optimisation.weight_decay, optimisation.power, optimisation.decay_every) == (5e-4, 0.9, 10)
    assert settings.augmentation.scales == (0.5, 0.75, 1, 1.25, 1.5) and settings.augmentation.crop == 321
    assert settings.input_scales == (0.5, 0.75) and settings.compared_at == "scores"
    assert (settings.prediction.scales, settings.prediction.flip) == ((1,), False)  # its own scales come on top
    assert settings.prediction.crf.model_dump(exclude={"unary", "certainty"}) == {
        "iterations": 10,
        "long_side": 500,
        "gaussian_sxy": 1,
        "gaussian_compat": 3,
        "bilateral_sxy": 67,
        "bilateral_srgb": 3,
        "bilateral_compat": 4,
    }


def test_a_small_configuration_is_completed_with_defaults():
    config = load_config(small())
    assert config.classifiers["ordinary"].optimisation.epochs == 5
    assert config.cams["cam"].scales == (0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"cam": {}}, ["cam: unknown key: 'cam'; did you mean 'cams'?"]),
        (
            {"cams": {"cam": {"method": "multiscale", "classifier": "ordinary", "scale": [1]}}},
            ["cams.cam.scale: unknown key: 'scale'; did you mean 'scales'? allowed: 'guessed', 'classifier', 'thres"],
        ),
        (
            {"cams": {"cam": {"method": "multiscal", "classifier": "ordinary"}}},
            ["cams.cam.method: unknown: 'multiscal'; did you mean 'multiscale'?"],
        ),
        (
            {"cams": {"cam": {"method": "multiscale", "classifier": "ordinary", "threshold": {"best_on": "subset"}}}},
            ["cams.cam.threshold: 'subset', a file with image ids, belongs to best_on: subset"],
        ),
        (
            {
                "cams": {
                    "cam": {
                        "method": "multiscale",
                        "classifier": "ordinary",
                        "threshold": {"best_on": "subset", "subset": ""},
                    }
                }
            },
            ["cams.cam.threshold.subset: "],
        ),
        (
            {"affinities": {"a": {"method": "affinitynet", "backbone": "trunk", "labels": {"foreground": 0.3}}}},
            ["affinities.a.labels.foreground: must be a block of settings ('threshold', 'alpha'"],
        ),
        (
            {
                "affinities": {
                    "a": {"method": "irn", "backbone": "trunk", "labels": {"foreground": {"threshold": 0.01}}}
                }
            },
            ["affinities.a.labels: 'foreground.threshold' of 0.01 makes more pixels objects"],
        ),
        (
            {"affinities": {"a": {"method": "irn", "backbone": "trunk", "augmentation": {"crop": 64}}}},
            ["affinities.a: 'augmentation.crop' of 64 pixels has 16 cells each way"],
        ),
        (
            {
                "affinities": {
                    "a": {"method": "affinitynet", "backbone": "trunk", "labels": {"crf": {"certainty": 0.8}}}
                }
            },
            ["affinities.a.labels.crf: 'certainty' belongs to unary: labels"],
        ),
        (
            {
                "affinities": {
                    "a": {"method": "irn", "backbone": "trunk", "displacement": False, "displacement_factor": 3}
                }
            },
            ["affinities.a: 'displacement_factor' belongs to displacement: true"],
        ),
        (
            {"affinities": {"a": {"method": "irn", "backbone": "trunk", "optimisation": {"epochs": 0}}}},
            ["affinities.a: 'optimisation.epochs: 0' is for an imported network"],
        ),
        (
            {
                "cams": {"cam": {**CAM, "threshold": 0.3}},
                "affinities": {
                    "a": {
                        "method": "affinitynet",
                        "backbone": "trunk",
                        "labels": {"foreground": {"times_seed_threshold": 4}},
                        "pseudo_labels": {"background": {"times_seed_threshold": 0.01}},
                    }
                },
                "experiments": {"x": {"cams": "cam", "affinity": "a"}, "y": {"cams": "cam", "affinity": "a"}},
            },
            [
                "affinities.a.pseudo_labels.background.times_seed_threshold: 0.01 times the threshold 0.3 of cams.cam "
                "is 0.003; it must lie between 0.01 and 0.99",
                "affinities.a.labels.foreground.times_seed_threshold: 4 times the threshold 0.3 of cams.cam is 1.2;",
            ],
        ),
        (
            {"affinities": {"a": {"method": "none", "pseudo_labels": {"background": {"walked_alpha": 4}}}}},
            ["affinities.a: 'pseudo_labels.background.walked_alpha' needs a walk"],
        ),
        (
            {
                "affinities": {"a": {"method": "none", "pseudo_labels": {"background": {"saliency": {}}}}},
                "experiments": {"x": {"cams": "cam", "affinity": "a"}, "y": {"cams": "cam", "affinity": "a"}},
            },
            [
                "affinities.a.pseudo_labels.background.saliency: needs saliency maps; give their folder as "
                "'dataset.saliency'"
            ],
        ),
        (
            {
                "affinities": {
                    "a": {"method": "none", "pseudo_labels": {"background": {"saliency": {}}, "divided": False}}
                }
            },
            ["affinities.a.pseudo_labels: 'divided: false' is not for 'background.saliency'"],
        ),
        (
            {"affinities": {"a": {"method": "none", "pseudo_labels": {"background": {"saliency": {}, "alpha": 2}}}}},
            ["affinities.a.pseudo_labels.background: give exactly one of 'threshold', 'alpha'"],
        ),
        ({"cams": {"cam": {"classifier": "ordinary"}}}, ["cams.cam.method: is missing; one of 'multiscale', 'advcam'"]),
        (
            {"cams": {"cam": {"method": "multiscale", "classifier": "ordinari"}}},
            ["cams.cam.classifier: no such variant in 'classifiers': 'ordinari'; did you mean 'ordinary'?"],
        ),
        ({"experiments": {"x": {"cams": "came"}}}, ["experiments.x.cams: no such variant in 'cams': 'came'"]),
        (
            {"cams": {"cam": {"method": "advcam", "classifier": "ordinary", "steps": 0}}},
            ["cams.cam.steps: should be greater than or equal to 1, not 0"],
        ),
        (
            {"cams": {"cam": {"method": "multiscale", "classifier": "ordinary", "threshold": 0.123}}},
            ["cams.cam.threshold: a threshold must be a multiple of 0.01"],
        ),
        (
            {"backbones": {"trunk": {"output_stride": 12}}},
            ["backbones.trunk.output_stride: should be 8, 16 or 32, not 12"],
        ),
        ({"backbones": {"my-trunk": {}}}, ["backbones.my-trunk: a name is made of letters, digits and '_'"]),
        (
            {"cams": {1: {"extends": 1}}},
            ["cams.1: a name is made of letters, digits and '_'; YAML reads"],
        ),
        ({"cams": {"cam": {"extends": ["a"]}}}, ["cams.cam.extends: no such variant: '['a']'"]),
        ({"cams": {"cam": {"method": ["multiscale"]}}}, ["cams.cam.method: unknown: '['multiscale']'"]),
        ({"experiments": {}}, ["experiments: must have at least 1"]),
        (
            {"cams": {"cam": {"method": "multiscale", "classifier": "ordinary", "threshold": 0}}},
            ["cams.cam.threshold.fixed: should be greater than 0"],
        ),
        (
            {"cams": {"cam": {"method": "advcam", "classifier": "ordinary", "regularisation": float("inf")}}},
            ["cams.cam.regularisation: should be a finite number"],
        ),
        (
            {"segmenters": {"d": {"network": "deeplab", "backbone": "trunk", "prediction": {"scales": [0]}}}},
            ["segmenters.d.prediction.scales.0: should be greater than or equal to 0.05, not 0"],
        ),
        (
            {"segmenters": {"d": {"network": "deeplab", "backbone": "trunk", "atrous_rates": [0]}}},
            ["segmenters.d.atrous_rates.0: should be greater than or equal to 1, not 0"],
        ),
        (
            {"segmenters": {"d": {"network": "deeplabv4", "backbone": "trunk"}}},
            ["segmenters.d.network: unknown: 'deeplabv4'; did you mean 'deeplabv2'?"],
        ),
        (
            {"segmenters": {"d": {"network": "largefov", "backbone": "trunk", "atrous_rates": [6]}}},
            ["segmenters.d.atrous_rates: unknown key: 'atrous_rates'; did you mean 'atrous_rate'?"],
        ),
        (
            {"segmenters": {"d": {"network": "deeplabv2", "backbone": "trunk", "input_scales": [0.5, 1]}}},
            ["segmenters.d: 'input_scales' must be different numbers other than 1"],
        ),
        (
            {"segmenters": {"d": {"network": "deeplab", "backbone": "trunk", "optimisation": {"accumulate": 3}}}},
            ["segmenters.d.optimisation: 'accumulate' must divide 'batch_size' (10), not be 3"],
        ),
        (
            {
                "segmenters": {
                    "d": {"network": "deeplabv3plus", "backbone": "trunk", "optimisation": {"accumulate": 16}}
                }
            },
            ["segmenters.d: 'optimisation.batch_size' / 'accumulate' must be at least 2"],
        ),
        (
            {"segmenters": {"d": {"network": "deeplabv2", "backbone": "trunk", "optimisation": {"epochs": 0}}}},
            ["segmenters.d: 'optimisation.epochs: 0' is for an imported network"],
        ),
        (
            {"backbones": {"trunk": {"network": "resnet18", "pixels": "caffe", "weights": "scratch"}}},
            ["backbones.trunk: 'pixels: caffe' is only for vgg16, vgg16_small, resnet50 and resnet101"],
        ),
        ({"backbones": {"trunk": None}}, ["backbones.trunk: must be a mapping of settings, not null"]),
        ({"backbones": ["trunk"]}, ["backbones: must be a mapping of names to settings"]),
        ({"dataset": {"root": "a", "generate": {}}}, ["dataset: give exactly one of 'root'"]),
        ({"dataset": {"root": "a", "classes": ["cat", "cat"]}}, ["dataset: 'classes' names a class twice"]),
        ({"resources": {"train": {}}}, ["resources.train: no such rule: 'train'"]),
        (
            {"resources": {"refine_seeds": {"gpu": 1}}},
            ["resources.refine_seeds.gpu: must be 0, not 1: it computes on the CPU"],
        ),
        (
            {"resources": {"generate_cams": {"gpu": 2}, "train_segmenter": {"gpu": 2}}},
            ["resources.generate_cams.gpu: must be 0 or 1, not 2: only trainings (prepare_backbone, "],
        ),
        ({"resources": {"predict": {"memory": 3}}}, ["resources.predict.memory: unknown key"]),
        ({"experiments": {"x": {"segmenter": "deeplab"}}}, ["experiments.x: 'cams' is missing"]),
        (
            {"experiments": {"x": {"cams": "cam", "segmenter": "d"}}},
            ["experiments.x: 'affinity' is missing: the segmenter is trained on its pseudo labels"],
        ),
        (
            {"classifiers": {"c": {"objective": "cgnet", "backbone": "trunk"}}},
            ["classifiers.c.ordinary: is missing"],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "optimisation": {"epochs": 0}}}},
            ["classifiers.ordinary: 'optimisation.epochs: 0' is for an imported classifier: give its 'weights'"],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "start_from": "ordinary", "weights": "w.safetensors"}}},
            ["classifiers.ordinary: give at most one of 'start_from' and 'weights'"],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "weights": "w.pth"}}},
            [
                "classifiers.ordinary.weights: must be the path of a .safetensors file, not 'w.pth'; `python -m "
                "wsss_core import-weights` makes one"
            ],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "objective": "seenet", "low_threshold": 0.9}}},
            ["classifiers.ordinary: 'low_threshold' must be below 'high_threshold'"],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "objective": "aeft", "bins": [4, 2]}}},
            ["classifiers.ordinary: 'bins' must be rising numbers from 1, not [4, 2]"],
        ),
        (
            {"classifiers": {"ordinary": {**AEFT, "optimisation": {"epochs": 10}}}},
            ["classifiers.ordinary: 'warmup_epochs: 18' leaves none of the 10 epochs for the triplets"],
        ),
        (
            {"classifiers": {"ordinary": {**AEFT, "triplet_batch_size": 4}}},
            [
                "classifiers.ordinary: a batch of 4 images ('triplet_batch_size') can never give "
                "'fewest_hard_triplets: 5'"
            ],
        ),
        (
            {"classifiers": {"ordinary": {**AEFT, "optimisation": {"batch_size": 16}}}},
            ["classifiers.ordinary: 'classified_images: 8' leaves images of 'optimisation.batch_size: 16' without"],
        ),
        (
            {"classifiers": {"ordinary": {**AEFT, "bins": [4], "fusion": "average"}}},
            ["classifiers.ordinary: 'fusion: average' is for two or more 'bins', not [4]"],
        ),
        (
            {"classifiers": {"ordinary": {**AEFT, "fusion": "average", "order": "fine_to_coarse"}}},
            ["classifiers.ordinary: 'order: fine_to_coarse' is for two or more 'bins' that are fused two by two"],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "optimisation": {"milestones": [0.6], "power": 2}}}},
            ["classifiers.ordinary.optimisation: 'power' belongs to the polynomial decay, which 'milestones'"],
        ),
        (
            {"classifiers": {"ordinary": {**ORDINARY, "optimisation": {"milestones": [0.6, 0.3]}}}},
            ["classifiers.ordinary.optimisation: 'milestones' must rise, not be [0.6, 0.3]"],
        ),
        (
            {"cams": {"cam": {"method": "seenet", "classifier": "ordinary", "low_threshold": 0.9}}},
            ["cams.cam: 'low_threshold' must be below 'high_threshold'"],
        ),
        (
            {"backbones": {"trunk": {"network": "vgg16", "pixels": "caffe"}}},
            ["backbones.trunk: torchvision's ImageNet weights are for pixels: imagenet, not caffe"],
        ),
        ({"extensions": "focal.py"}, ["extensions: must be a list of paths, not 'focal.py'"]),
        ({"backbones": {"trunk": {"network": "resnet38"}}}, ["backbones.trunk: resnet38 has output_stride: 8, not 16"]),
        (
            {"backbones": {"trunk": {"network": "resnet50", "dropout": [0.1, 0.1]}}},
            ["backbones.trunk: 'dropout' is only for resnet38 and resnet38_small, not for resnet50"],
        ),
        (
            {"backbones": {"trunk": {"network": "resnet38", "output_stride": 8}}},
            ["backbones.trunk: torchvision has no ImageNet weights for resnet38: give the path"],
        ),
        (
            {"cams": {"cam": {"method": "seenet", "classifier": "ordinary"}}},
            [
                "cams.cam.classifier: method seenet needs a classifier with objective 'seenet'; 'ordinary' has "
                "'ordinary'"
            ],
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_fault_is_reported_with_its_key_and_what_is_allowed(section, expected):
    faults = faults_of(**section)
    assert len(faults) == len(expected)
    for fault, start in zip(faults, expected, strict=True):
        assert fault.startswith(start)


def test_all_faults_are_reported_at_once():
    faults = faults_of(
        cams={"a": {"method": "multiscale", "classifier": "ordinary", "flop": 1}, "b": {"extends": "c"}},
        dataset={"root": "x", "formt": "voc"},
        runtime={"shards": 0},
        extra={},
    )
    for key in ("cams.a.flop", "cams.b.extends", "dataset.formt", "runtime.shards", "extra"):
        assert any(fault.startswith(key + ":") for fault in faults), key


def test_a_circle_of_classifiers_is_reported():
    classifiers = {
        "ordinary": ORDINARY,
        "first": {**ORDINARY, "objective": "cgnet", "ordinary": "second"},
        "second": {**ORDINARY, "start_from": "first"},
    }
    assert faults_of(classifiers=classifiers) == [
        "classifiers.first: needs itself to be trained first: first -> second -> first",
        "classifiers.second: needs itself to be trained first: second -> first -> second",
    ]


def test_a_start_from_another_trunk_is_reported():
    faults = faults_of(
        backbones={"trunk": {}, "wide": {"network": "vgg16"}},
        classifiers={
            "ordinary": ORDINARY,
            "seenet": {"objective": "seenet", "backbone": "wide", "start_from": "ordinary"},
        },
    )
    assert faults == [
        "classifiers.seenet.start_from: 'ordinary' is a resnet50; this classifier's backbone is a vgg16, which its "
        "weights do not fit"
    ]


def test_a_circle_of_extends_is_reported():
    faults = faults_of(cams={"a": {"extends": "b"}, "b": {"extends": "c"}, "c": {"extends": "b"}})
    assert "cams.b.extends: goes in a circle: b -> c -> b" in faults
    assert "cams.a.extends: leads to a circle at 'b'" in faults


def test_extends_merges_blocks_and_replaces_values():
    short = {"extends": "cam", "scales": [1.0]}
    own = {"extends": "ordinary", "optimisation": {"epochs": 2}}
    config = load_config(
        small(
            cams={"short": short, "cam": {"method": "multiscale", "classifier": "ordinary", "threshold": 0.3}},
            classifiers={
                "ordinary": {"objective": "ordinary", "backbone": "trunk", "optimisation": {"batch_size": 3}},
                "brief": own,
            },
        )
    )
    assert config.cams["short"].scales == (1.0,)
    assert config.cams["short"].threshold == Threshold(fixed=0.3)
    assert config.classifiers["brief"].optimisation.epochs == 2
    assert config.classifiers["brief"].optimisation.batch_size == 3


def test_a_block_given_in_part_keeps_the_defaults_of_its_place():
    assert Pretext(optimisation={"epochs": 3}).optimisation.optimizer == "adamw"
    assert DeepLab(backbone="b", prediction={"flip": False}).prediction.crf.bilateral_sxy == 67
    assert DeepLab(backbone="b", prediction={"crf": {"iterations": 3}}).prediction.crf.bilateral_sxy == 67


def test_one_of_two_keys_that_exclude_each_other_takes_the_other_away():
    labels = {"foreground": {"threshold": 0.3}}
    assert AffinityNet(classifier="c", labels=labels).labels.foreground.alpha is None
    with pytest.raises(ValueError, match="exactly one"):
        AffinityNet(classifier="c", labels={"foreground": {"threshold": 0.3, "alpha": 2}})
    with pytest.raises(ValueError, match="at most one"):
        Augmentation(scale=(1, 2), long_side=(30, 40))
    deeplab = DeepLabV2(backbone="b", augmentation={"scale": (0.5, 2)})
    assert deeplab.augmentation.scales is None and deeplab.augmentation.crop == 321


def test_an_inherited_momentum_goes_with_its_optimizer():
    assert DeepLab(backbone="b").optimisation.momentum == 0.9
    assert DeepLab(backbone="b", optimisation={"optimizer": "adamw"}).optimisation.momentum == 0
    with pytest.raises(ValueError, match="belongs to optimizer: sgd"):
        DeepLab(backbone="b", optimisation={"optimizer": "adamw", "momentum": 0.5})


def test_resources_are_laid_over_the_rules_defaults():
    config = load_config(small(resources={"predict": {"mem_mb": 900}}))
    assert config.resources["predict"].mem_mb == 900
    assert config.resources["predict"].gpu == 1


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given twice"),
        ("a: {b: 1, b: 2}\n", "line 1: the key 'b' is given twice"),
        ("a: [1\n", "is not YAML"),
        ("- a\n", "holds ['a'], not a mapping"),
        ("", "holds nothing, not a mapping"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not YAML"),
    ],
)
def test_a_broken_file_is_reported(tmp_path, text, reported):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml") as caught:
        read_yaml(path)
    assert reported in str(caught.value)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        read_yaml(tmp_path / "none.yaml")


def test_yaml_anchors_work(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"x": 1}) + "a: &a {b: 1}\nc: *a\n")
    assert read_yaml(path)["c"] == {"b": 1}


def test_an_anchored_block_can_be_merged_and_overridden(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert read_yaml(file)["b"] == {"x": 1, "y": 3}


def test_a_fixed_threshold_takes_the_place_of_a_chosen_one_and_its_list():
    cams = {
        "a": {"method": "multiscale", "classifier": "ordinary", "threshold": {"best_on": "subset", "subset": "a.txt"}}
    }
    for name, threshold in (("b", 0.3), ("c", {"fixed": 0.3}), ("d", {"best_on": "train"})):
        cams[name] = {"extends": "a", "threshold": threshold}
    config = load_config(small(cams=cams, experiments={"a": {"cams": "a"}}))
    assert config.cams["b"].threshold == config.cams["c"].threshold == Threshold(fixed=0.3)
    assert config.cams["d"].threshold == Threshold(best_on="train")


PUBLISHED = {"seed": 55.6, "source": "a paper"}


def test_published_figures_are_read():
    config = load_config(small(experiments={"cam": {"cams": "cam", "published": PUBLISHED}}))
    assert config.experiments["cam"].published.figures == {"seed": 55.6}


@pytest.mark.parametrize(
    ("published", "fault"),
    [
        ({"seed": 55.6}, "experiments.cam.published.source: is missing"),
        ({"source": "a paper"}, "give at least one of 'seed'"),
        ({**PUBLISHED, "val": 60}, "'published.val' is of a stage that this experiment does not reach"),
        ({**PUBLISHED, "seed": 101}, "experiments.cam.published.seed: should be less than or equal to 100, not 101"),
        ({**PUBLISHED, "sede": 1}, "did you mean 'seed'?"),
    ],
)
def test_published_figures_that_cannot_be_compared(published, fault):
    assert fault in "\n".join(faults_of(experiments={"cam": {"cams": "cam", "published": published}}))


def test_published_figures_are_of_the_experiment_that_says_them():
    experiments = {"cam": {"cams": "cam", "published": PUBLISHED}, "mine": {"extends": "cam"}}
    assert load_config(small(experiments=experiments)).experiments["mine"].published is None


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_the_published_figures(recipe):
    config = load_config(read_yaml(REPOSITORY / "configs" / f"{recipe}.yaml"))
    named = {"voc12-seenet": "seenet_saliency", "voc12-advcam-semi": "advcam_semi"}
    method = named.get(recipe, recipe.split("-")[1])
    published = config.experiments[method].published
    if recipe == "coco14-advcam-irn":
        assert published is None  # the paper has none for MS-COCO
        return
    assert published is not None and published.figures


def test_generated_images_have_no_test_list():
    dataset = {"generate": {}, "splits": {"test": "test"}}
    assert faults_of(dataset=dataset) == [
        "dataset: a generated data set has no list for 'splits.test'; leave it out",
    ]


def test_a_competition_needs_a_segmenter():
    faults = faults_of(experiments={"cam": {"cams": "cam", "competition": "comp5"}})
    assert len(faults) == 1 and "'competition' is for a segmenter's label maps" in faults[0]
