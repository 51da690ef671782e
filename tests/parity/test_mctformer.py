"""MCTformer+ against the authors' code; tolerances of ``tests/golden/README.md``."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tests.parity.cases import Case, authors_names, authors_weights, check_sums
from tests.parity.imported import check_norms, largest_difference
from wsss_core.cams.class_attention import class_attention, class_attention_maps, joined_maps, patch_attention
from wsss_core.classifiers.mctformer import MctformerObjective
from wsss_core.config.cams import ClassAttentionCams
from wsss_core.config.networks import Trunk
from wsss_core.config.token_classifiers import MctformerClassifier
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.importing import authors_formats
from wsss_core.importing.authors_names import MCTFORMER_CLASSIFIER, by_beginning
from wsss_core.importing.pretrained import import_weights
from wsss_core.networks.class_tokens import ClassTokenClassifier
from wsss_core.networks.weights import load_state, load_weights, ready_for_use

pytestmark = pytest.mark.xdist_group("mctformer")

LOGITS, TOKENS, LOSSES, NORMS, FUSED, MAPS = 2e-5, 3e-4, 1e-5, 1e-5, 5e-5, 1e-4
EXACT, EXACT_MAPS = 1e-9, 1e-6
IMAGE = 224
"""Pixels that the positions are for which DeiT has and the classifier does not use."""
NAMES = by_beginning(MCTFORMER_CLASSIFIER)


def register_transformer(options: dict) -> str:
    """Make timm know a DeiT of a case's sizes; its name."""
    name = "golden_deit_" + "_".join(str(options[key]) for key in ("embed_dim", "depth", "heads", "patch"))

    def build(pretrained: bool = False, **given) -> VisionTransformer:
        del pretrained
        given.pop("pretrained_cfg", None), given.pop("pretrained_cfg_overlay", None), given.pop("cache_dir", None)
        sizes = {"embed_dim": options["embed_dim"], "depth": options["depth"], "num_heads": options["heads"]}
        return VisionTransformer(img_size=IMAGE, patch_size=options["patch"], **sizes, **given)

    build.__name__, build.__module__ = name, __name__
    if not timm.is_model(name):
        globals()[name] = build
        register_model(build)
    return name


def weights_of(options: dict) -> dict[str, Tensor]:
    """The recipe's, for the sizes of a case."""
    return _weights(*(options[key] for key in ("embed_dim", "depth", "patch", "classes", "input_size")))


@cache
def _weights(width: int, depth: int, patch: int, classes: int, input_size: int) -> dict[str, Tensor]:
    given = authors_names("mctformer_plus")
    old = given["cls_token"][2]
    names = {}
    for name, shape in given.items():
        layer, _, leaf = name.removeprefix("blocks.").partition(".")
        if name.startswith("blocks.") and layer == "0":
            for number in range(depth):
                names[f"blocks.{number}.{leaf}"] = [side // old * width for side in shape]
        elif not name.startswith("blocks."):
            names[name] = [width if side == old else side for side in shape]
    names |= {name: [1, classes, width] for name in ("cls_token", "pos_embed_cls")}
    names |= {"pos_embed_pat": [1, (input_size // patch) ** 2, width]}
    names |= {"pos_embed": [1, (IMAGE // patch) ** 2 + 1, width], "patch_embed.proj.weight": [width, 3, patch, patch]}
    names |= {"head.weight": [classes, width, 3, 3], "head.bias": [classes]}
    return authors_weights("mctformer_plus", names=names)


@pytest.fixture
def network(case: Case, tmp_path: Path, monkeypatch) -> ClassTokenClassifier:
    """The network of a case's options, with the recipe's weights, imported; without ImageNet's mean a second time."""
    options = case.json("options_json")
    trunk = {"network": "timm", "model": register_transformer(options), "output_stride": options["patch"]}
    deit = Trunk.model_construct(**trunk)
    monkeypatch.setattr(authors_formats, "DEIT_SMALL", deit)
    save_file(weights_of(options), tmp_path / "source.safetensors")
    names = tuple(f"class{k}" for k in range(options["classes"]))
    import_weights("mctformer", tmp_path / "source.safetensors", tmp_path / "made.safetensors", names)
    made = MctformerObjective.build_network(settings_of(case), deit, names)
    assert isinstance(made, ClassTokenClassifier)
    load_state(made, load_weights(tmp_path / "made.safetensors")[0], tmp_path / "made.safetensors")
    assert made.ranking_decay == options["decay"]
    made.trunk.pixels = nn.Identity()
    return ready_for_use(made, "cpu")


def settings_of(case: Case) -> MctformerClassifier:
    options = case.json("options_json")
    named = ("contrast_layers", "contrast_weight", "drop_path")  # of training only
    return MctformerClassifier(
        backbone="any",
        ranking_decay=options["decay"],
        augmentation={"crop": options["input_size"]},
        **{key: options[key] for key in named if key in options},
    )


@pytest.mark.golden("mctformer_train*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_of_training(case: Case, network, dtype):
    options = case.json("options_json")
    check_sums(weights_of(options), case)
    network = network.to(dtype).requires_grad_(True).train()
    images = torch.stack([normalise(image) for image in case["images"]]).to(dtype)
    labels = case.tensor("labels").to(dtype)
    seen = network.see(images)
    losses = MctformerObjective(network, settings_of(case), None).losses(images, labels, 0)
    prefix, logits, loss, norms = "", LOGITS, LOSSES, NORMS
    if dtype == torch.float64:
        prefix, logits, loss, norms = "f64_", EXACT, EXACT, EXACT
    else:
        assert largest_difference(seen.class_tokens[-1], case.tensor("class_tokens")) <= TOKENS
        assert largest_difference(seen.class_tokens[0], case.tensor("class_tokens_first")) <= TOKENS
    assert largest_difference(seen.class_logits, case.tensor(f"{prefix}class_logits")) <= logits
    assert largest_difference(seen.patch_logits, case.tensor(f"{prefix}patch_logits")) <= logits
    weighted = {"class_tokens": 1, "patches": 1, "contrast": options["contrast_weight"]}
    for name, theirs in {"class_tokens": "loss_class", "patches": "loss_patch", "contrast": "loss_contrast"}.items():
        expected = weighted[name] * case[f"{prefix}{theirs}"].item()
        assert losses[name].item() == pytest.approx(expected, rel=loss), name
    assert losses["loss"].item() == pytest.approx(case[f"{prefix}loss"].item(), rel=loss)

    losses["loss"].backward()
    check_norms(network, NAMES, case.json(f"{prefix}grad_norms_json"), norms)
    without = {NAMES(name) for name, weight in network.named_parameters() if weight.grad is None}
    assert without >= set(case.json("no_grad_json"))
    if dtype == torch.float32:
        for name, ours in {
            "grad_cls_token": network.class_tokens,
            "grad_pos_embed_cls": network.class_positions,
            "grad_head_bias": network.head.bias,
        }.items():
            assert largest_difference(ours.grad.view(case[name].shape), case.tensor(name)) <= LOSSES, name


@pytest.mark.golden("mctformer_maps*.npz")
def test_what_a_view_shows(case: Case, network):
    options = case.json("options_json")
    settings = ClassAttentionCams(classifier="any", layers=options["layers"])
    views = [(scale, flip) for scale in options["scales"] for flip in (False, True)]
    with torch.inference_mode():
        for number, (scale, flip) in enumerate(views):
            image = rescale(case["image"], scale)
            assert image.shape[:2] == tuple(case["sizes"][number])
            pixels = normalise(np.ascontiguousarray(image[:, ::-1]) if flip else image)[None]
            seen = network.see(pixels, "drop", attention=True)
            logits = (seen.class_logits + seen.patch_logits)[0] / 2
            assert largest_difference(logits, case.tensor(f"logits_{number}")) <= LOGITS
            fused = joined_maps(seen, settings)
            assert largest_difference(fused[0], case.tensor(f"fused_{number}")) <= FUSED
            if number == 0:
                attention = class_attention(seen, options["layers"])[0]
                assert largest_difference(attention, case.tensor("class_attention")) <= FUSED
                assert largest_difference(seen.maps[0].relu(), case.tensor("patch_maps")) <= TOKENS
                spread = patch_attention(seen.attention, len(network.classes))[0]
                assert largest_difference(spread, case.tensor("patch_attention")) <= FUSED


@pytest.mark.golden("mctformer_maps*.npz")
@pytest.mark.parametrize("spread", [True, False])
def test_maps_of_an_image(case: Case, network, spread: bool):
    options, classes = case.json("options_json"), case["keys"].tolist()
    settings = ClassAttentionCams(classifier="any", layers=options["layers"], scales=options["scales"], spread=spread)
    _, high_res = class_attention_maps(network, case["image"], classes, settings).normalised()
    assert high_res is not None
    assert largest_difference(high_res, case.tensor("maps" if spread else "maps_unrefined")) <= MAPS
    if spread:
        _, exact = class_attention_maps(network.double(), case["image"], classes, settings).normalised()
        assert exact is not None
        assert largest_difference(exact, case.tensor("f64_maps")) <= EXACT_MAPS
