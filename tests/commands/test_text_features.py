"""The command text-features, with stand-ins for the libraries that have a text tower."""

import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

from tests.config.test_loading import small
from wsss_core.__main__ import main
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.token_classifiers import ClipClassifier
from wsss_core.errors import UserError
from wsss_core.networks.text_features import read_text_features, save_text_features


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = {
        "objective": "clip",
        "backbone": "vit",
        "weights": "tower.safetensors",
        "text_features": "texts.safetensors",
    }
    config = small(
        backbones={"trunk": {"network": "resnet50"}, "vit": {"network": "timm", "model": "test_vit"}},
        classifiers={"ordinary": {"objective": "ordinary", "backbone": "trunk"},
                     "clip": {**clip, "descriptions": {"bird": "bird avian"}}},
    )  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "tower").mkdir()
    (tmp_path / "open.safetensors").write_bytes(b"weights")
    return tmp_path


def encoded(texts: list[str]) -> torch.Tensor:
    """A feature of length 3 that tells texts apart."""
    return torch.tensor([[3.0, len(text), text.count("a")] for text in texts])


class Tokenizer:
    """A token for each word, and two at the ends, as both libraries count them."""

    model_max_length = context_length = 12

    def __init__(self, kind: type = dict):
        self.kind = kind

    def encode(self, text):
        return text.split()

    def __call__(self, texts, **options):
        if self.kind is str:
            return texts
        lengths = torch.tensor([len(self.encode(text)) + 2 for text in texts])
        return {"texts": texts, "attention_mask": (torch.arange(99) < lengths[:, None]).long()}


def stand_in_for_transformers(monkeypatch):
    tokenizer = SimpleNamespace(from_pretrained=lambda folder, **given: Tokenizer())
    tower = SimpleNamespace(eval=lambda: lambda texts, **mask: SimpleNamespace(text_embeds=encoded(texts)))
    model = SimpleNamespace(from_pretrained=lambda folder, **given: tower)
    module = SimpleNamespace(CLIPTokenizer=tokenizer, CLIPTextModelWithProjection=model)
    monkeypatch.setitem(sys.modules, "transformers", module)


def stand_in_for_open_clip(monkeypatch):
    network = SimpleNamespace(eval=lambda: SimpleNamespace(encode_text=encoded))
    module = SimpleNamespace(create_model=lambda name, pretrained: network, get_tokenizer=lambda name: Tokenizer(str))
    monkeypatch.setitem(sys.modules, "open_clip", module)


@pytest.mark.parametrize(
    ("stand_in", "tower"),
    [(stand_in_for_transformers, "tower"), (stand_in_for_open_clip, "open.safetensors")],
)
def test_features_of_the_settings_texts_are_written(place, monkeypatch, capsys, stand_in, tower):
    stand_in(monkeypatch)
    assert main(["text-features", "clip", "--tower", tower]) == 0
    assert "texts.safetensors: 20 classes, 25 of the background, features of 3" in capsys.readouterr().out
    settings = ClipClassifier(
        backbone="b", weights="w.safetensors", text_features="t.safetensors", descriptions={"bird": "bird avian"}
    )
    texts = settings.texts(VOC_CLASSES)
    assert "a clean origami bird avian." in texts
    found, background = read_text_features("texts.safetensors", texts, settings.background_texts())
    expected = encoded(texts)
    torch.testing.assert_close(found, expected / expected.norm(dim=1, keepdim=True))
    assert background.shape == (25, 3)


def test_what_is_missing_is_reported(place, monkeypatch, capsys):
    for module, tower, package in (
        ("transformers", "tower", "transformers"),
        ("open_clip", "open.safetensors", "open_clip_torch"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        assert main(["text-features", "clip", "--tower", tower]) == 2
        assert f"the package that has one is not installed: pip install {package}" in capsys.readouterr().err
    assert main(["text-features", "clip", "--tower", "gone"]) == 2
    assert "gone: give a folder in the hub's form" in capsys.readouterr().err
    assert main(["text-features", "clip", "--tower", "tower", "--model", "ViT-B-16"]) == 2
    assert "--model is for a .safetensors file" in capsys.readouterr().err
    assert main(["text-features", "ordinary", "--tower", "tower"]) == 2
    assert "there is no classifier 'ordinary' with objective clip; it has clip" in capsys.readouterr().err
    assert not (place / "texts.safetensors").exists()


def test_a_file_of_other_texts_is_refused(tmp_path):
    from wsss_core.errors import UserError

    file = tmp_path / "texts.safetensors"
    save_text_features(file, torch.eye(2), torch.ones(1, 2), ["a cat", "a dog"], ["a sky"])
    with pytest.raises(UserError, match="has the class text 'a dog' where the settings have 'a bird'"):
        read_text_features(file, ["a cat", "a bird"], ["a sky"])
    with pytest.raises(UserError, match="has 1 background texts; the settings have 2"):
        read_text_features(file, ["a cat", "a dog"], ["a sky", "a sea"])
    save_text_features(file, torch.zeros(2, 2), torch.ones(1, 2), ["a cat", "a dog"], ["a sky"])
    with pytest.raises(UserError, match="not finite, or 0"):
        read_text_features(file, ["a cat", "a dog"], ["a sky"])


@pytest.mark.parametrize(
    ("stand_in", "tower"),
    [(stand_in_for_transformers, "tower"), (stand_in_for_open_clip, "open.safetensors")],
)
def test_a_text_that_would_be_cut_is_reported(place, monkeypatch, capsys, stand_in, tower):
    stand_in(monkeypatch)
    monkeypatch.setattr(Tokenizer, "context_length", 6)
    monkeypatch.setattr(Tokenizer, "model_max_length", 6)
    assert main(["text-features", "clip", "--tower", tower]) == 2
    assert "'a clean origami bird avian.' has 7 tokens, but the tower reads 6" in capsys.readouterr().err
    assert not (place / "texts.safetensors").exists()


def test_features_of_two_lengths_are_refused(tmp_path):
    path = tmp_path / "texts.safetensors"
    save_text_features(path, torch.ones(2, 4), torch.ones(1, 5), ["a", "b"], ["c"])
    with pytest.raises(UserError, match="features of the classes have the length 4, of the background 5"):
        read_text_features(path, ["a", "b"], ["c"])
