import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.oracles.plain_consistency import plain_boxes, plain_drop
from wsss_core.config.semi_supervised import AuxiliaryDecoders
from wsss_core.segmentation.perturbations import (
    ADVERSARIAL_STEP,
    PERTURBATIONS,
    adversarial,
    cut_out,
    drop_strongest,
    noise,
)


@pytest.fixture
def features():
    torch.manual_seed(0)
    return torch.rand(3, 4, 7, 9)


@pytest.fixture
def objects():
    mask = torch.zeros(3, 7, 9, dtype=torch.bool)
    mask[0, 0:5, 0:5] = True
    mask[0, 5:7, 5:9] = True  # beside it, over a corner only
    mask[2, 3, 3] = True
    return mask


def test_every_kind_of_the_configuration_keeps_the_size_and_passes_gradients(features, objects):
    assert PERTURBATIONS.keys() == AuxiliaryDecoders().counts.keys()
    for perturb in PERTURBATIONS.values():
        for images in (3, 0):
            given = features[:images].clone().requires_grad_()
            result = perturb(given, objects[:images], nn.Conv2d(4, 3, 1))
            assert result.shape == given.shape
            result.sum().backward()
            assert given.grad is not None


def test_noise_is_a_factor_near_1_and_the_same_in_all_images(features):
    factors = noise(features + 1) / (features + 1)
    assert (factors - 1).abs().max() <= 0.3001 and factors.min() < 0.75 and factors.max() > 1.25
    torch.testing.assert_close(factors[0], factors[1])


def test_the_strongest_places_are_dropped(features):
    torch.manual_seed(5)
    dropped = drop_strongest(features)
    torch.manual_seed(5)
    share = 0.7 + 0.2 * torch.rand(()).item()
    for image, result in zip(features, dropped, strict=True):
        np.testing.assert_array_equal(result.numpy(), plain_drop(image.numpy(), share))
    assert 0 < (dropped == 0).float().mean() < 0.9


def test_a_part_of_every_objects_box_is_cut_out(features, objects):
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        gone = (cut_out(features + 1, objects) == 0).all(dim=1).numpy()
        assert not gone[1].any() and gone[2].sum() == 1 and gone[2, 3, 3]
        boxes = plain_boxes(objects[0].numpy())
        assert boxes == [(0, 4, 0, 4), (5, 6, 5, 8)]
        for top, bottom, left, right in boxes:
            part = gone[0, top : bottom + 1, left : right + 1]
            ((first, last, start, end),) = plain_boxes(part)
            size = (last - first + 1, end - start + 1)
            assert part.sum() == size[0] * size[1] and size == ((2, 2) if top == 0 else (1, 2))
            seen.add((top, first, start))
        assert gone[0].sum() == 4 + 2
    assert {(0, 0, 0), (0, 3, 3)} & seen and len(seen) > 10


def test_objects_may_be_finer_than_features(features, objects):
    finer = objects.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    finer[:, 1::4], finer[:, :, 3::4] = False, True  # between the places that the nearest ones are
    for kind in ("without_objects", "without_context"):
        perturb = PERTURBATIONS[kind]
        assert torch.equal(perturb(features, finer, nn.Identity()), perturb(features, objects, nn.Identity()))
    torch.manual_seed(0)
    solid = objects[:1].repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    gone = (cut_out(features[:1] + 1, solid) == 0).all(dim=1)[0]
    # Of a box of 40 x 40 pixels, 16 x 16: two places each way, or as many as pixels 0, 8, 16, ... fall into it.
    rows, columns = gone[:5, :5].any(dim=1).sum(), gone[:5, :5].any(dim=0).sum()
    assert rows == 2 and columns == 2 and not (gone & ~objects[0]).any()


def test_objects_and_context_are_kept_apart(features, objects):
    without_objects = PERTURBATIONS["without_objects"](features, objects, nn.Identity())
    without_context = PERTURBATIONS["without_context"](features, objects, nn.Identity())
    torch.testing.assert_close(without_objects + without_context, features)
    assert (without_objects[0, :, :5, :5] == 0).all() and (without_context[1] == 0).all()


def test_the_adversarial_step_changes_the_decoder_more_than_random_ones(features):
    torch.manual_seed(1)
    decoder = nn.Conv2d(4, 3, 1).requires_grad_()
    wanted = decoder(features).softmax(dim=1)

    def changed(step):
        return functional.kl_div(decoder(features + step).log_softmax(dim=1), wanted, reduction="sum").item()

    step = adversarial(features, decoder) - features
    torch.testing.assert_close(step.flatten(1).norm(dim=1), torch.full((3,), ADVERSARIAL_STEP))
    random = functional.normalize(torch.randn(100, 3, 4 * 7 * 9), dim=2).view(100, *features.shape) * ADVERSARIAL_STEP
    assert changed(step) > 1.5 * max(map(changed, random))
    assert decoder.weight.grad is None  # the search for the direction is no part of the training
