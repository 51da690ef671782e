"""Attention affinity: boxes, balancing, and what it does to maps."""

import numpy as np
import pytest
import torch

from tests.refinement.tiny_data import SIZES, TRUNK, FakeCams
from wsss_core.backbones.prepare_backbone import TrunkOnly
from wsss_core.config.networks import Backbone, Trunk
from wsss_core.config.spreading import AttentionSpreading, Walk
from wsss_core.errors import UserError
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import save_weights
from wsss_core.refinement.attention import (
    AttentionMethod,
    attention_affinity,
    box_masks,
    scaled,
    spread_by_attention,
    whole_patches,
)


def test_boxes_hold_regions_and_lose_their_last_row_at_the_border():
    maps = np.zeros((3, 6, 7), np.float32)
    maps[0, 1:3, 2:4] = maps[0, 3, 4] = 0.9  # one region: corners touch
    maps[1, 4:, 5:] = 1.0  # ends at the lower right corner
    boxes = box_masks(maps, 0.4)
    expected = np.zeros((6, 7), bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(boxes[0], expected)
    expected = np.zeros((6, 7), bool)
    expected[4, 5] = True
    np.testing.assert_array_equal(boxes[1], expected)
    assert not boxes[2].any()


def test_a_balanced_matrix_has_sums_of_1_and_is_symmetric():
    attention = [torch.rand(6, 6, dtype=torch.float64).softmax(dim=1) for _ in range(2)]
    affinity = attention_affinity(attention, AttentionSpreading(balancing=200, log2_steps=0))
    torch.testing.assert_close(affinity, affinity.T)
    torch.testing.assert_close(affinity.sum(dim=0), torch.ones(6, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    squared = attention_affinity(attention, AttentionSpreading(balancing=200, log2_steps=1))
    torch.testing.assert_close(squared, affinity @ affinity)


def test_values_outside_of_boxes_are_not_spread():
    maps = torch.tensor([[[1.0, 0.3, 0.0]]])
    affinity = torch.ones(3, 3)
    assert spread_by_attention(maps, affinity, AttentionSpreading(box_threshold=None))[0, 0].tolist() == pytest.approx(
        [1.3] * 3
    )
    two_rows = torch.tensor([[[1.0, 0.3, 0.0], [0.0, 0.0, 0.0]]])
    spread = spread_by_attention(two_rows, torch.ones(6, 6), AttentionSpreading(box_threshold=0.5))
    assert spread.flatten().tolist() == pytest.approx([1.0] * 6)


def test_scaled_maps():
    assert scaled(torch.tensor([[[1.0, 3.0]], [[2.0, 2.0]]])).flatten().tolist() == pytest.approx(
        [0, 1, 0, 0], abs=1e-6
    )


def test_images_are_enlarged_to_whole_patches():
    assert whole_patches(np.zeros((33, 48, 3), np.uint8), 16).shape == (48, 48, 3)
    image = np.zeros((32, 48, 3), np.uint8)
    assert whole_patches(image, 16) is image


def test_a_backbone_spreads_maps(tmp_path):
    trunk = Trunk(network="timm", model="test_vit")
    torch.manual_seed(0)
    backbone = Backbone(**trunk.model_dump(), weights="scratch")
    description = {"kind": "backbone", "backbone": backbone.model_dump(mode="json")}
    save_weights(tmp_path / "vit.safetensors", TrunkOnly(build_trunk(trunk)), description)
    walk = AttentionSpreading()
    method = AttentionMethod.prepare(walk, tmp_path / "vit.safetensors", torch.device("cpu"))
    for image_id, (height, width) in SIZES.items():
        cams = FakeCams().read(image_id)
        spread = method.spread(np.zeros((height, width, 3), np.uint8), cams, walk, None)
        assert spread.cam.shape == (len(cams.classes), -(-height // 16), -(-width // 16))
        assert spread.stride == 16 and np.isfinite(spread.cam).all()
    with pytest.raises(UserError, match="settings of the walk are another method's"):
        method.walk(np.zeros((32, 32, 3), np.uint8), np.ones((1, 2, 2)), Walk())


def test_a_network_without_patches_is_refused(tmp_path):
    description = {"kind": "backbone", "backbone": Backbone(network="resnet_small", output_stride=8, weights="scratch")
                   .model_dump(mode="json")}  # fmt: skip
    save_weights(tmp_path / "resnet.safetensors", TrunkOnly(build_trunk(TRUNK)), description)
    with pytest.raises(UserError, match="method attention needs a vision transformer"):
        AttentionMethod.prepare(AttentionSpreading(), tmp_path / "resnet.safetensors", torch.device("cpu"))
