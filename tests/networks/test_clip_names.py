"""CLIP's image tower by the names of several programs is one and the same."""

import math

import pytest
import torch

from wsss_core.config.networks import Trunk
from wsss_core.config.timm_tokens import create_tokens
from wsss_core.errors import UserError
from wsss_core.importing import clip_names
from wsss_core.importing.clip_names import BODY, clip_tower, tower_settings

WIDTH, LENGTH = 8, 5


def openai_tower() -> dict[str, torch.Tensor]:
    """One block, with OpenAI's names, a text tower beside it."""
    torch.manual_seed(0)
    block = "visual.transformer.resblocks.0."
    shapes = {
        "visual.class_embedding": [WIDTH],
        "visual.positional_embedding": [5, WIDTH],
        "visual.proj": [WIDTH, LENGTH],
        "visual.conv1.weight": [WIDTH, 3, 16, 16],
        **{f"visual.{norm}.{leaf}": [WIDTH] for norm in ("ln_pre", "ln_post") for leaf in ("weight", "bias")},
        **{f"{block}{norm}.{leaf}": [WIDTH] for norm in ("ln_1", "ln_2") for leaf in ("weight", "bias")},
        f"{block}attn.in_proj_weight": [3 * WIDTH, WIDTH],
        f"{block}attn.in_proj_bias": [3 * WIDTH],
        f"{block}attn.out_proj.weight": [WIDTH, WIDTH],
        f"{block}attn.out_proj.bias": [WIDTH],
        f"{block}mlp.c_fc.weight": [4 * WIDTH, WIDTH],
        f"{block}mlp.c_proj.weight": [WIDTH, 4 * WIDTH],
    }
    return {**{name: torch.randn(shape) for name, shape in shapes.items()}, "logit_scale": torch.tensor(4.0),
            "transformer.resblocks.0.ln_1.weight": torch.ones(3)}  # fmt: skip


def hub_tower() -> dict[str, torch.Tensor]:
    """The same with the names of transformers."""
    own, block, renamed = openai_tower(), "visual.transformer.resblocks.0.", "vision_model.encoder.layers.0."
    state = {
        "vision_model.embeddings.class_embedding": own["visual.class_embedding"],
        "vision_model.embeddings.position_embedding.weight": own["visual.positional_embedding"],
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
        "vision_model.embeddings.patch_embedding.weight": own["visual.conv1.weight"],
        "visual_projection.weight": own["visual.proj"].T,
        "text_model.final_layer_norm.weight": torch.ones(3),
        "logit_scale": own["logit_scale"],
    }
    for leaf in ("weight", "bias"):
        for theirs, ours in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
            state[f"vision_model.{theirs}.{leaf}"] = own[f"visual.{ours}.{leaf}"]
        for number in (1, 2):
            state[f"{renamed}layer_norm{number}.{leaf}"] = own[f"{block}ln_{number}.{leaf}"]
        for which, part in zip("qkv", own[f"{block}attn.in_proj_{leaf}"].chunk(3), strict=True):
            state[f"{renamed}self_attn.{which}_proj.{leaf}"] = part
        state[f"{renamed}self_attn.out_proj.{leaf}"] = own[f"{block}attn.out_proj.{leaf}"]
    state[f"{renamed}mlp.fc1.weight"] = own[f"{block}mlp.c_fc.weight"]
    state[f"{renamed}mlp.fc2.weight"] = own[f"{block}mlp.c_proj.weight"]
    return state


def test_names_of_all_programs_give_the_same_tower():
    expected = clip_tower(openai_tower(), "file")
    assert f"{BODY}blocks.0.attn.qkv.weight" in expected and expected["projection"].shape == (WIDTH, LENGTH)
    assert expected[f"{BODY}cls_token"].shape == (1, 1, WIDTH) and expected[f"{BODY}pos_embed"].shape == (1, 5, WIDTH)
    of_hub = clip_tower(hub_tower(), "file")
    of_timm = {name.removeprefix(BODY): tensor for name, tensor in expected.items() if name.startswith(BODY)}
    of_timm |= {"head.weight": expected["projection"].T, "head.bias": torch.zeros(LENGTH)}
    renamed = clip_tower(of_timm, "file")
    assert renamed.pop("logit_scale").item() == pytest.approx(math.log(100))
    for found in (of_hub, renamed):
        assert found.keys() >= expected.keys() - {"logit_scale"} and found.keys() <= expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)


def test_what_is_no_tower_is_reported():
    with pytest.raises(UserError, match="file: holds no image tower of CLIP"):
        clip_tower({"conv1.weight": torch.ones(1)}, "file")
    state = hub_tower()
    del state["vision_model.encoder.layers.0.self_attn.k_proj.bias"]
    with pytest.raises(UserError, match=r"it lacks vision_model.encoder.layers.0.self_attn.k_proj.bias"):
        clip_tower(state, "file")
    with pytest.raises(UserError, match=r"an unsupported image tower .8 channels and patches of 16 pixels"):
        tower_settings(clip_tower(openai_tower(), "file"), "file")


def test_a_towers_shapes_say_which_model_it_is(monkeypatch):
    monkeypatch.setattr(clip_names, "MODELS", ["test_vit2.r160_in1k", "test_vit.r160_in1k"])
    state = {BODY + name: tensor for name, tensor in create_tokens("test_vit.r160_in1k").state_dict().items()}
    assert tower_settings(state, "file") == Trunk(network="timm", model="test_vit.r160_in1k")


@pytest.mark.parametrize(
    ("tower", "name", "shape"),
    [
        (openai_tower, "visual.conv1.weight", []),
        (openai_tower, "visual.proj", [LENGTH]),
        (openai_tower, "logit_scale", [1]),
        (hub_tower, "vision_model.encoder.layers.0.self_attn.q_proj.weight", []),
        (hub_tower, "visual_projection.weight", [0, WIDTH]),
    ],
)
def test_misshapen_weights_are_named(tower, name, shape):
    with pytest.raises(UserError) as reported:
        tower_settings(clip_tower({**tower(), name: torch.zeros(shape)}, "file"), "file")
    assert f"file: is not an image tower of CLIP: {name} has the shape {shape}" in str(reported.value)


def test_queries_and_keys_of_different_shapes_are_named():
    state = hub_tower()
    state["vision_model.encoder.layers.0.self_attn.v_proj.weight"] = torch.zeros(4, 4)
    with pytest.raises(UserError, match=r"self_attn.v_proj.weight differ: \[\[8, 8\], \[8, 8\], \[4, 4\]\]"):
        clip_tower(state, "file")


def test_timms_names_with_a_scale_and_fine_tuned_ones():
    state = {"cls_token": torch.zeros(1, 1, WIDTH), "head.weight": torch.zeros(LENGTH, WIDTH)}
    found = clip_tower({**state, "logit_scale": torch.tensor(4.0)}, "file")
    assert set(found) == {f"{BODY}cls_token", "projection", "logit_scale"} and found["logit_scale"] == 4
    with pytest.raises(UserError, match=r"a classifier that was fine-tuned from CLIP.*its head.bias is not 0"):
        clip_tower({**state, "head.bias": torch.ones(LENGTH)}, "file")
