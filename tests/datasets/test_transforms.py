import colorsys

import numpy as np
import pytest
import torch
from PIL import Image

from wsss_core.config.training import Augmentation
from wsss_core.datasets.augmentation import TrainingTransform
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION, normalise, normalised, rescale


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def colours_by_label(labels):
    """An image whose pixels tell their label: 0 black, 1 white."""
    return np.repeat(labels[..., None] * np.uint8(255), 3, axis=2)


def plain(**options):
    return TrainingTransform(Augmentation(**{"flip": False, **options}))


def test_normalisation_is_float64_rounded_once():
    image = noise(7, 5)
    for pixels in (image, image[:, ::-1]):
        expected = ((pixels / 255.0 - np.array(MEAN)) / np.array(STANDARD_DEVIATION)).astype(np.float32)
        result = normalise(pixels)
        assert result.dtype == torch.float32 and result.is_contiguous()
        assert np.array_equal(result.numpy(), expected.transpose(2, 0, 1))


def test_images_are_normalised_where_they_lie_as_they_are_on_the_host():
    images = np.stack([noise(7, 5), noise(7, 5)[:, ::-1]])
    found = normalised(torch.from_numpy(images))
    assert torch.equal(found, torch.stack([normalise(image) for image in images])) and found.is_contiguous()


def test_rescaling_is_pillows_bicubic_to_sizes_rounded_half_to_even():
    image = noise(5, 7)
    assert rescale(image, 1.0) is image
    assert rescale(image, 0.5).shape == (2, 4, 3)  # 2.5 and 3.5
    assert rescale(image, 0.01).shape == (1, 1, 3)
    expected = np.asarray(Image.fromarray(image).resize((14, 10), Image.Resampling.BICUBIC))
    assert np.array_equal(rescale(image, 2.0), expected)


def test_without_changes_the_image_comes_through():
    image, labels = noise(16, 16), noise(16, 16)[..., 0]
    pixels, classes = plain(crop=16)(image, labels)
    assert torch.equal(pixels, normalise(image))
    assert classes.dtype == torch.int64
    assert np.array_equal(classes.numpy(), labels)
    assert plain(crop=16)(image)[1] is None


def test_a_smaller_image_is_padded_by_the_mean_colour_and_no_label():
    image, labels = noise(6, 9), np.ones((6, 9), np.uint8)
    pixels, classes = plain(crop=12)(image, labels)
    inside = classes == 1
    assert inside.sum() == 54 and (classes[~inside] == 255).all()
    assert (pixels[:, ~inside] == 0).all()
    assert torch.equal(pixels[:, inside], normalise(image).flatten(1))


def test_crops_reach_every_place():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    starts = set()
    for seed in range(60):
        torch.manual_seed(seed)
        _, classes = TrainingTransform(Augmentation.model_construct(crop=2, flip=False, colour_jitter=0.0))(
            colours_by_label(image), image
        )
        starts.add(int(classes[0, 0]))
    assert starts == {0, 1, 2, 4, 5, 6}


@pytest.mark.parametrize("size", [(40, 64), (90, 33), (1, 1), (1, 50)])
@pytest.mark.parametrize("options", [{"scale": (0.5, 1.5)}, {"long_side": (20, 90)}, {}])
def test_image_and_labels_stay_aligned(size, options):
    rows, columns = np.indices(size) // 10
    labels = ((rows + columns) % 2).astype(np.uint8)
    transform = TrainingTransform(Augmentation(crop=48, **options))
    for seed in range(10):
        torch.manual_seed(seed)
        pixels, classes = transform(colours_by_label(labels), labels)
        assert pixels.shape == (3, 48, 48) and classes.shape == (48, 48)
        white = pixels[0] > (0.5 - MEAN[0]) / STANDARD_DEVIATION[0]
        known = classes != 255
        # Only at the borders of the squares do interpolated colours and nearest labels differ.
        assert (white[known] == (classes[known] == 1)).float().mean() > 0.9


def test_sizes_lie_in_the_ranges_and_reach_both_ends():
    labels = np.zeros((20, 10), np.uint8)
    for options, low, high in [({"long_side": (10, 13)}, 10, 13), ({"scale": (0.5, 1.5)}, 10, 30)]:
        lengths = []
        for seed in range(80):
            torch.manual_seed(seed)
            _, classes = plain(crop=40, **options)(colours_by_label(labels), labels)
            lengths.append(int((classes == 0).any(dim=1).sum()))
        assert min(lengths) == low and max(lengths) in (high, high - 1)
        assert max(lengths) == high or options.get("scale")


def test_each_of_the_given_sizes_is_taken_as_often():
    labels = np.zeros((20, 10), np.uint8)
    counts = {10: 0, 20: 0, 30: 0}
    for seed in range(300):
        torch.manual_seed(seed)
        _, classes = plain(crop=40, scales=(0.5, 1, 1.5))(colours_by_label(labels), labels)
        counts[int((classes == 0).any(dim=1).sum())] += 1
    assert min(counts.values()) > 75


def test_half_of_the_images_are_mirrored():
    image = noise(8, 8)
    transform = TrainingTransform(Augmentation(crop=8))
    mirrored = 0
    for seed in range(100):
        torch.manual_seed(seed)
        pixels, _ = transform(image)
        assert torch.equal(pixels, normalise(image)) or torch.equal(pixels, normalise(image).flip(2))
        mirrored += torch.equal(pixels, normalise(image).flip(2))
    assert 30 < mirrored < 70


def test_jitter_changes_colours_and_nothing_else():
    image = np.tile(noise(1, 1), (8, 8, 1))
    image[:, 4:] = 200
    labels = noise(8, 8)[..., 0]
    transform = plain(crop=8, colour_jitter=0.4)
    torch.manual_seed(0)
    one, classes = transform(image, labels)
    two, _ = transform(image, labels)
    assert np.array_equal(classes.numpy(), labels)
    assert not torch.equal(one, two) and not torch.equal(one, normalise(image))
    assert (one[:, :, :4] == one[:, :1, :1]).all() and (one[:, :, 4:] == one[:, :1, 7:]).all()


def test_randomness_is_torchs():
    transform = TrainingTransform(Augmentation(crop=24, scale=(0.5, 2), colour_jitter=0.3))
    image = noise(30, 30)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(transform(image)[0])
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


def share_of_unchanged(transform, image, wanted, number=200):
    """Share of the draws that give ``wanted``."""
    unchanged = 0
    for seed in range(number):
        torch.manual_seed(seed)
        unchanged += torch.equal(transform(image)[0], wanted)
    return unchanged / number


def test_colours_are_changed_as_often_as_asked_for():
    image = noise(8, 8)
    whole = normalise(image)
    assert share_of_unchanged(plain(crop=8, colour_jitter=0.4), image, whole) == 0
    some = plain(crop=8, colour_jitter=0.4, jitter_probability=0.3)
    assert 0.6 < share_of_unchanged(some, image, whole) < 0.8


def test_images_lose_their_colours_as_often_as_asked_for():
    image = noise(8, 8)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    wanted = normalise(np.stack([grey] * 3, axis=2))
    assert share_of_unchanged(plain(crop=8, greyscale_probability=1.0), image, wanted) == 1
    assert 0.2 < share_of_unchanged(plain(crop=8, greyscale_probability=0.3), image, wanted) < 0.4
    assert share_of_unchanged(plain(crop=8, greyscale_probability=0.3), image, normalise(image)) > 0.6


def test_the_hue_has_a_range_of_its_own():
    image = np.tile(np.array([[[200, 60, 60]]], dtype=np.uint8), (8, 8, 1))  # red

    def largest_turn(**options):
        turns = []
        for seed in range(100):
            torch.manual_seed(seed)
            pixels = plain(crop=8, **options)(image)[0][:, 0, 0]
            value = pixels * torch.tensor(STANDARD_DEVIATION) + torch.tensor(MEAN)
            hue = colorsys.rgb_to_hsv(*value.clamp(0, 1).tolist())[0]
            turns.append(min(hue, 1 - hue))
        return max(turns)

    assert largest_turn(colour_jitter=0.3, hue_jitter=0.0) < 0.01
    assert 0.08 < largest_turn(colour_jitter=0.3) < 0.11  # a third
    assert 0.17 < largest_turn(hue_jitter=0.2) < 0.21
