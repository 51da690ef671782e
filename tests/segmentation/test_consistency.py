import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.oracles.plain_consistency import plain_consistency
from tests.refinement.tiny_data import TRUNK
from wsss_core.config.segmentation import DeepLab, PspNet
from wsss_core.config.semi_supervised import AuxiliaryDecoders
from wsss_core.networks.segmenter_files import build_segmenter
from wsss_core.segmentation.consistency import CrossConsistency, ramp_up
from wsss_core.segmentation.losses import segmentation_losses

ONLY_PLACES = {"noise": 0, "drop": 0, "dropout": 0, "cutout": 0, "adversarial": 0, "without_objects": 1}


def training(**consistency):
    settings = DeepLab(
        backbone="any",
        atrous_rates=(1,),
        compared_at="scores",
        consistency={"decoders": ONLY_PLACES, "ramp_up": 0, **consistency},
    )
    torch.manual_seed(0)
    network = build_segmenter("deeplab", settings.options, TRUNK, ("a", "b"))
    nn.init.normal_(network.pyramid.branches[0].weight, std=0.3)
    return settings, CrossConsistency(network, settings.consistency, passes=10)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    labels = torch.randint(0, 3, (3, 16, 24))
    return torch.randn(3, 3, 16, 24), labels, torch.tensor([1, 2])


def test_decoders_are_compared_with_the_main_one_on_images_without_masks(batch):
    images, labels, others = batch
    settings, whole = training(weight=7, pseudo_weight=0.25)
    assert whole.kinds == ["without_objects", "without_context", "without_context"]
    maps = whole.network.encode(images)
    (logits,) = whole.network.all_logits(images, maps)
    losses = whole.losses(maps, logits, labels, others, settings)
    objects = (logits[1:].argmax(dim=1) != 0)[:, None]
    assert 0 < objects.float().mean() < 1
    kept = [~objects, objects, objects]
    scores = [decoder(maps[-1][1:] * part) for decoder, part in zip(whole.decoders, kept, strict=True)]
    plain = plain_consistency(logits[1:].detach().numpy(), [part.detach().numpy() for part in scores])
    assert losses["consistency"].item() == pytest.approx(7 * plain, rel=1e-5)
    own = segmentation_losses(scores, labels[1:], settings).mean()
    torch.testing.assert_close(losses["auxiliary"], 0.25 * own)


def test_decoders_that_upsample_are_compared_at_the_images_size(batch):
    """Of a size that is no multiple of the trunk's stride: what lies beyond the image is cut off, nothing squeezed."""
    _, labels, others = batch
    images, labels = torch.randn(3, 3, 13, 21), labels[:, :13, :21]
    settings = PspNet(backbone="any", bins=(1, 2), consistency={"decoders": ONLY_PLACES, "ramp_up": 0, "weight": 7})
    torch.manual_seed(0)
    network = build_segmenter("pspnet", settings.options, TRUNK, ("a", "b"))
    whole = CrossConsistency(network, settings.consistency, passes=10)
    maps = network.encode(images)
    logits = network.all_logits(images, maps)[-1]
    losses = whole.losses(maps, logits, labels, others, settings)
    features = maps[-1][1:]
    assert logits.shape == (3, 3, 13, 21) and features.shape[2:] == (2, 3)
    objects = (logits[1:].argmax(dim=1) != 0)[:, None].float()
    near = functional.interpolate(objects, size=(2, 3), mode="nearest").bool()
    assert 0 < near.float().mean() < 1
    scores = [
        decoder(features * part)[:, :, :13, :21]
        for decoder, part in zip(whole.decoders, (~near, near, near), strict=True)
    ]
    plain = plain_consistency(logits[1:].detach().numpy(), [part.detach().numpy() for part in scores])
    assert losses["consistency"].item() == pytest.approx(7 * plain, rel=1e-5)
    own = segmentation_losses(scores, labels[1:], settings).mean()
    torch.testing.assert_close(losses["auxiliary"], 0.4 * own)
    sum(losses.values()).backward()
    learning = {name for name, parameter in whole.named_parameters() if parameter.grad is not None}
    assert "network.pyramid.bottleneck.0.weight" in learning and "decoders.0.0.weight" in learning
    assert not any(name.startswith("network.decoder.") for name in learning)


def test_the_main_decoder_is_the_teacher_and_the_trunk_learns(batch):
    images, labels, others = batch
    settings, whole = training()
    maps = whole.network.encode(images)
    logits = whole.network.all_logits(images, maps)[-1]
    sum(whole.losses(maps, logits, labels, others, settings).values()).backward()
    learning = {name for name, parameter in whole.named_parameters() if parameter.grad is not None}
    assert any(name.startswith("network.trunk.") for name in learning) and "decoders.0.weight" in learning
    assert not any(name.startswith("network.pyramid.") for name in learning)


def test_a_batch_of_masks_alone_has_no_consistency(batch):
    images, labels, _ = batch
    settings, whole = training()
    maps = whole.network.encode(images)
    logits = whole.network.all_logits(images, maps)[-1]
    losses = whole.losses(maps, logits, labels, torch.zeros(0, dtype=torch.int64), settings)
    assert {name: value.item() for name, value in losses.items()} == {"consistency": 0, "auxiliary": 0}


def test_nor_of_a_network_that_upsamples(batch):
    images, labels, _ = batch
    every = {"decoders": dict.fromkeys(AuxiliaryDecoders().counts, 1)}
    settings = PspNet(backbone="any", bins=(1, 2), consistency=every)
    network = build_segmenter("pspnet", settings.options, TRUNK, ("a", "b"))
    whole = CrossConsistency(network, settings.consistency, passes=10)
    maps = network.encode(images)
    logits = network.all_logits(images, maps)[-1]
    losses = whole.losses(maps, logits, labels, torch.zeros(0, dtype=torch.int64), settings)
    assert {name: value.item() for name, value in losses.items()} == {"consistency": 0, "auxiliary": 0}


def test_images_without_label_have_consistency_alone(batch):
    images, labels, others = batch
    settings, whole = training()
    maps = whole.network.encode(images)
    logits = whole.network.all_logits(images, maps)[-1]
    losses = whole.losses(maps, logits, torch.full_like(labels, 255), others, settings)
    assert losses["consistency"] > 0 and losses["auxiliary"] == 0
    settings, whole = training(pseudo_weight=0)
    assert whole.losses(maps, logits, labels, others, settings).keys() == {"consistency"}


def test_the_weights_rise_and_go_on_rising_after_a_resumption(batch):
    images, labels, others = batch
    assert [ramp_up(done, 4) for done in range(6)] == pytest.approx(
        [math.exp(-5), math.exp(-5 * 0.75**2), math.exp(-5 / 4), math.exp(-5 / 16), 1, 1]
    )
    assert ramp_up(0, 0) == 1
    settings, whole = training(ramp_up=0.4)
    maps = whole.network.encode(images)
    logits = whole.network.all_logits(images, maps)[-1]

    def consistency(module):
        return module.losses(maps, logits, labels, others, settings)["consistency"].item()

    full = CrossConsistency(whole.network, settings.consistency.model_copy(update={"ramp_up": 0.0}), 10)
    full.load_state_dict(whole.state_dict())
    at_once = consistency(full)
    assert consistency(whole) == pytest.approx(math.exp(-5) * at_once)
    again = CrossConsistency(whole.network, settings.consistency, 10)
    again.load_state_dict(whole.state_dict())
    assert consistency(again) == pytest.approx(math.exp(-5 * 0.75**2) * at_once)
