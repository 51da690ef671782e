"""Trunks of tokens: against timm's own, at any size; attention against the plain formula; what is refused."""

import pytest
import timm
import torch
from pydantic import ValidationError

from tests.config.test_loading import faults_of
from wsss_core.config.networks import Backbone, Trunk, patch_of
from wsss_core.networks.timm_weights import load_timm_file
from wsss_core.networks.token_trunk import TokenTrunk, recorded_attention
from wsss_core.networks.trunks import build_trunk

MODELS = ("test_vit", "test_vit2", "deit_tiny_distilled_patch16_224", "vit_base_patch16_clip_quickgelu_224.openai")
"""With one token before the patches', with other blocks, with two such tokens, and with another scale of pixels."""


def trunk_of(model: str = "test_vit") -> TokenTrunk:
    torch.manual_seed(0)
    trunk = build_trunk(Trunk(network="timm", model=model)).eval()
    assert isinstance(trunk, TokenTrunk)
    return trunk


@pytest.mark.parametrize("model", MODELS)
def test_the_last_map_is_what_timm_makes_of_the_image(model):
    trunk = trunk_of(model)
    whole = timm.create_model(model, num_classes=0, dynamic_img_size=True, dynamic_img_pad=True).eval()
    whole.load_state_dict(trunk.body.state_dict(), strict=False)
    images = torch.randn(2, 3, 40, 81)
    with torch.no_grad():
        maps, tokens = trunk(images), trunk.tokens(images)
        expected = whole.forward_features(trunk.pixels(images))
    assert tokens.grid == (3, 6) and tokens.prefix == whole.num_prefix_tokens
    assert [found.shape for found in maps] == [(2, trunk.channels[0], 3, 6)] * 4
    torch.testing.assert_close(maps[-1], tokens.patches(expected))
    torch.testing.assert_close(maps[-1], tokens.patches(trunk.body.norm(tokens.blocks[-1])))


def test_attention_is_the_mean_over_the_heads_of_the_plain_formula():
    trunk, images = trunk_of(), torch.randn(1, 3, 48, 32)
    with torch.no_grad():
        tokens = trunk.tokens(images, attention=True)
        fused = trunk.tokens(images)
        block = trunk.body.blocks[1]
        layer, given = block.attn, block.norm1(tokens.blocks[0])
        queries, keys, _ = layer.qkv(given).view(1, 7, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
        expected = (queries @ keys.transpose(2, 3) * layer.scale).softmax(dim=3).mean(dim=1)
    assert len(tokens.attention) == len(trunk.body.blocks) and not fused.attention
    torch.testing.assert_close(tokens.attention[1], expected)
    torch.testing.assert_close(tokens.blocks[-1], fused.blocks[-1], rtol=1e-4, atol=1e-5)


def test_blocks_are_as_they_were_after_an_error():
    trunk = trunk_of()
    before = [block.attn.fused_attn for block in trunk.body.blocks]
    with pytest.raises(RuntimeError), recorded_attention(trunk.body.blocks):
        raise RuntimeError
    assert [block.attn.fused_attn for block in trunk.body.blocks] == before
    assert not any(block.attn.attn_drop._forward_hooks for block in trunk.body.blocks)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 200), (33, 16)])
def test_any_size(height, width):
    with torch.no_grad():
        maps = trunk_of()(torch.randn(1, 3, height, width))
    assert all(found.shape[2:] == (-(-height // 16), -(-width // 16)) for found in maps)
    assert all(found.isfinite().all() for found in maps)


def test_incomplete_patches_are_filled_up_or_left_out():
    trunk, image = trunk_of(), torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        dropped, grid = trunk.patch_tokens(image, "drop")
        whole, _ = trunk.patch_tokens(image[:, :, :32, :32])
        assert grid == (2, 2) and torch.equal(dropped, whole)
        assert trunk.patch_tokens(image[:, :, :5], "drop")[1] == (1, 2)
        assert trunk.patch_tokens(image)[1] == (3, 3)


def test_a_frozen_stem_keeps_what_comes_before_the_blocks():
    trunk = trunk_of("deit_tiny_distilled_patch16_224")
    trunk.freeze_stem()
    frozen = {name.split(".")[1] for name, weight in trunk.named_parameters() if not weight.requires_grad}
    assert frozen == {"patch_embed", "pos_embed", "cls_token", "dist_token"}


def test_weights_of_timms_names(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    whole = timm.create_model("test_vit", num_classes=5)
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    trunk = trunk_of()
    load_timm_file(trunk, str(tmp_path / "model.safetensors"))
    assert torch.equal(trunk.body.blocks[3].attn.qkv.weight, whole.blocks[3].attn.qkv.weight)


def test_patches_are_the_output_stride():
    assert patch_of(Trunk(network="timm", model="vit_small_patch32_224", output_stride=32)) == 32
    assert patch_of(Trunk(network="timm", model="resnet18")) is None and patch_of(Trunk()) is None
    for settings, reported in (
        ({"model": "vit_small_patch32_224"}, "patches of 32 pixels: set 'output_stride: 32', not 16"),
        (
            {"model": "vit_small_patch14_dinov2"},
            "patches of 14 pixels, and a trunk's output_stride is one of 8, 16, 32",
        ),
        ({"model": "test_vit", "dilated": True}, "'dilated' is for convolutions"),
        ({"model": "beit_base_patch16_224"}, "cannot be a trunk"),
    ):
        with pytest.raises(ValidationError, match=reported):
            Backbone(network="timm", **settings)


@pytest.mark.parametrize(
    ("section", "settings", "reported"),
    [
        ("affinities", {"method": "irn"}, "the boundaries of method irn need maps of stride 4"),
        ("affinities", {"method": "affinitynet"}, "the grid of 'stride: 8' needs maps of stride 8"),
        ("segmenters", {"network": "deeplabv3plus"}, "network deeplabv3plus joins maps of stride 4"),
        ("segmenters", {"network": "deeplab", "low_level_skip": True}, "'low_level_skip' joins maps of stride 4"),
    ],
)
@pytest.mark.parametrize("through", ["backbone", "classifier"])
def test_what_needs_finer_maps_than_patches_is_refused(section, settings, reported, through):
    vit = {"network": "timm", "model": "test_vit", "weights": "scratch"}
    start = {"backbone": "trunk"} if through == "backbone" else {"classifier": "ordinary"}
    (fault,) = faults_of(backbones={"trunk": vit}, **{section: {"mine": {**settings, **start}}})
    assert fault.startswith(
        f"{section}.mine: {reported}, and backbones.trunk, the vision transformer test_vit.r160_in1k"
    )
