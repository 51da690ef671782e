import numpy as np
import pytest
import torch

from tests.oracles import plain_averaging as plain
from wsss_core.config.averaging import Pamr, Par
from wsss_core.refinement.local_averaging import AveragedScores, LocalAveraging

SETTINGS = [
    Par(dilations=(1, 3), iterations=2, distance_weight=0.1),
    Par(dilations=(2,), iterations=3, width=0.7),
    Pamr(dilations=(1, 3), iterations=2),
    Pamr(dilations=(1, 2, 9), iterations=1, width=0.5),
]


def scene(height=7, width=9, labels=2, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), np.uint8), random.random((labels, height, width), np.float32)


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
def test_equals_the_plain_form(settings):
    image, maps = scene()
    pixels = torch.from_numpy(image).double().permute(2, 0, 1)[None]
    found = LocalAveraging(pixels, settings)(torch.from_numpy(maps).double()[None])[0]
    expected = plain.averaged(image.astype(np.float64), maps.astype(np.float64), settings, isinstance(settings, Par))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("settings", SETTINGS[::2], ids=repr)
def test_images_too_large_to_keep_their_weights_come_out_the_same(settings, monkeypatch):
    pixels = torch.rand(2, 3, 11, 6, generator=torch.Generator().manual_seed(0))
    maps = torch.rand(2, 4, 11, 6, generator=torch.Generator().manual_seed(1))
    expected = LocalAveraging(pixels, settings)(maps)
    monkeypatch.setattr("wsss_core.refinement.local_averaging.BAND_BYTES", {"cpu": 4 * 16 * 6 * 2 * 3})
    averaging = LocalAveraging(pixels, settings, kept_bytes=0)
    assert averaging._kept is None and len(averaging._bands) > 2
    torch.testing.assert_close(averaging(maps), expected)


def test_a_flat_image_is_plainly_averaged():
    maps = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    found = LocalAveraging(torch.full((1, 3, 8, 8), 0.5), Pamr(iterations=1, dilations=(1,)))(maps)
    expected = sum(maps[..., 3 + dy, 4 + dx] for dy, dx in plain.AROUND) / 8
    torch.testing.assert_close(found[..., 3, 4], expected)


@pytest.mark.parametrize("settings", [Par(), Pamr(), Par(softmax=False), Pamr(shrink=8)], ids=repr)
@pytest.mark.parametrize("size", [(40, 30), (1, 1), (3, 50)])
def test_shares_follow_the_colours(settings, size):
    image = np.zeros((*size, 3), np.uint8)
    image[:, size[1] // 2 :] = (250, 40, 90)
    scores = np.full((2, *size), 0.4, np.float32)
    scores[1, :, size[1] // 2 :] = 0.9
    shares = AveragedScores(image, settings).infer(scores)
    assert shares.dtype == np.float32 and shares.shape == scores.shape
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
    assert shares[1, 0, -1] > shares[0, 0, -1]


def test_one_label_is_sure():
    image, _ = scene()
    np.testing.assert_allclose(AveragedScores(image, Par()).infer(np.zeros((1, 7, 9), np.float32)), 1, atol=1e-6)


def test_wrong_shapes_and_values_are_refused():
    image, maps = scene()
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\)"):
        AveragedScores(image.astype(float), Par())
    with pytest.raises(ValueError, match="the image has 7 x 9"):
        AveragedScores(image, Par()).infer(maps[:, :3])
    with pytest.raises(ValueError, match="not finite"):
        AveragedScores(image, Par()).infer(np.full_like(maps, np.nan))
