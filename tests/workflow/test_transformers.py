"""Methods on vision transformers in one small run: MCTformer+, CLIP-ES, attention affinity, AdvCAM on MCTformer+; and a
training-free affinity in a file of the user's own.
"""

import shutil

import h5py
import numpy as np
import pytest
import torch

from tests.workflow.workflow import REPOSITORY, Workflow, small_demo
from wsss_core.config import load_config
from wsss_core.config.networks import Trunk
from wsss_core.config.token_classifiers import ClipClassifier
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.datasets.label_maps import read_label_map
from wsss_core.importing.authors_formats import ImageTower
from wsss_core.networks.text_features import save_text_features
from wsss_core.networks.weights import save_weights

pytestmark = pytest.mark.xdist_group("transformers")

VIT = {"network": "timm", "model": "test_vit", "output_stride": 16}
BRIEF = {"epochs": 1, "batch_size": 8}
CROP = {"crop": 48}
CLIPES_CRF = {"gaussian_sxy": 1, "bilateral_sxy": 67, "bilateral_srgb": 3, "bilateral_compat": 4, "colours": "wrapped"}
CAMS = ("vit", "mctformer", "mctformer_multiscale", "mctformer_advcam", "clipes")


def write_tower(folder, classes):
    """A CLIP of random weights, with features of random texts: it shows that the way is open, and nothing else."""
    torch.manual_seed(0)
    tower, trunk = ImageTower(Trunk(**VIT), 8), Trunk(**VIT)
    torch.nn.init.normal_(tower.projection)
    torch.nn.init.constant_(tower.logit_scale, 2.0)
    save_weights(folder / "tower.safetensors", tower, {"kind": "clip", "trunk": describe_trunk(trunk), "embedding": 8})
    settings = ClipClassifier(backbone="b", weights="a.safetensors", text_features="b.safetensors")
    texts, background = settings.texts(classes), settings.background_texts()
    features = torch.randn(len(texts), 8), torch.randn(len(background), 8)
    save_text_features(folder / "texts.safetensors", *features, texts, background)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("transformers"), small_demo("cam"))
    config, folder = workflow.config, workflow.folder
    shutil.copy(REPOSITORY / "docs" / "examples" / "colours.py", folder)
    config["extensions"] = ["colours.py"]
    config["dataset"]["generate"]["train_images"] = 24
    config["backbones"] |= {
        "vit": {**VIT, "weights": "pretext", "pretext": {"images": 64, "size": 32, "optimisation": {"epochs": 1}}},
        "clip": {**VIT, "weights": "scratch"},
    }
    config["classifiers"] |= {
        "vit": {"objective": "ordinary", "backbone": "vit", "optimisation": BRIEF, "augmentation": CROP},
        "mctformer": {
            **{"objective": "mctformer", "backbone": "vit", "augmentation": CROP},
            "optimisation": {**BRIEF, "cosine": {"warmup_epochs": 0}},
        },
        "clip": {
            **{"objective": "clip", "backbone": "clip"},
            **{"weights": "tower.safetensors", "text_features": "texts.safetensors"},
        },
    }
    one = {"scales": [1.0]}
    config["cams"] |= {
        "vit": {"classifier": "vit", "method": "multiscale", **one},
        "mctformer": {"classifier": "mctformer", "method": "class_attention", "scales": [1.0, 0.75]},
        "mctformer_multiscale": {"classifier": "mctformer", "method": "multiscale", **one},
        "mctformer_advcam": {"classifier": "mctformer", "method": "advcam", "steps": 2, **one},
        "clipes": {"classifier": "clip", "method": "clip_gradcam"},
    }
    confident = {"background": {"alpha": 1}, "crf": CLIPES_CRF, "divided": False, "unsure_below": 0.95}
    config["affinities"] |= {
        "attention": {"method": "attention", "classifier": "mctformer"},
        "attention_of_clip": {"method": "attention", "classifier": "clip"},
        "attention_of_backbone": {"method": "attention", "backbone": "vit", "walk": {"box_threshold": None}},
        "colours": {"method": "colours", "pseudo_labels": {"background": {"walked_alpha": 4}}},
        "confident": {"method": "none", "pseudo_labels": confident},
    }
    config["segmenters"]["vit"] = {
        **{"network": "deeplab", "backbone": "vit", "atrous_rates": [1], "optimisation": BRIEF},
        **{"augmentation": CROP, "prediction": {"scales": [1.0], "crf": None}},
    }
    config["experiments"] = {
        **{name: {"cams": name} for name in ("vit", "mctformer_multiscale")},
        "mctformer": {"cams": "mctformer", "affinity": "attention", "segmenter": "vit"},
        "advcam": {"cams": "mctformer_advcam", "affinity": "attention_of_clip"},
        "clipes": {"cams": "clipes", "affinity": "confident"},
        "clipes_attention": {"cams": "clipes", "affinity": "attention_of_backbone"},
        "clipes_colours": {"cams": "clipes", "affinity": "colours"},
    }
    write_tower(folder, load_config(small_demo("cam")).dataset.class_names)
    workflow.run()
    return workflow


@pytest.mark.parametrize("name", CAMS)
def test_maps_are_drawn(finished, name):
    (shard,) = (finished.results / "cams").glob(f"{name}-*/shards/*.h5")
    with h5py.File(shard) as file:
        assert len(file) == 24
        for image in file.values():
            assert image["cam"].shape == (len(image["classes"]), 12, 12)
            assert 0 <= image["high_res"][()].min() <= image["high_res"][()].max() <= 1
        assert any(image["cam"][()].max() > 0.5 for image in file.values())


@pytest.mark.parametrize(
    ("variant", "stride"),
    [("mctformer-attention", 16), ("clipes-attention_of_backbone", 16), ("clipes-colours", 4)],
)
def test_maps_are_spread_without_training(finished, variant, stride):
    (shard,) = (finished.results / "walked_cams").glob(f"{variant}-*/shards/*.h5")
    with h5py.File(shard) as file:
        assert len(file) == 24
        for image in file.values():
            assert image["cam"].shape[1:] == (48 // stride, 48 // stride)
            assert 0 <= image["cam"][()].min() <= image["cam"][()].max() <= 1
    assert not (finished.results / "affinity").exists()


def test_unsure_pixels_of_clipes_have_no_label(finished):
    (folder,) = (finished.results / "pseudo_labels").glob("clipes-confident-*/labels")
    found = {value for path in folder.glob("**/*.png") for value in np.unique(read_label_map(path, 6))}
    assert 255 in found and len(found) > 1


def test_nothing_is_left_to_do_and_other_settings_spread_again(finished):
    assert finished.planned() == {}
    changed = finished.changed()
    changed.config["affinities"]["attention"]["walk"] = {"layers": 2}
    planned = changed.planned()
    assert planned["spread_cams"] == 1 and "train_classifier" not in planned and "generate_cams" not in planned


def test_other_texts_are_reported_before_anything_runs(finished):
    changed = finished.changed()
    changed.config["classifiers"]["clip"]["template"] = "a photo of a {}."
    output = changed.attempt("--dry-run").stdout
    assert "classifiers.clip.text_features: texts.safetensors: has the class text" in output
    assert "python -m wsss_core text-features" in output
    changed.config["classifiers"]["clip"]["text_features"] = "gone.safetensors"
    assert "classifiers.clip.text_features: there is no file gone.safetensors" in changed.attempt("--dry-run").stdout
