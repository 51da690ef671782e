"""Tests of ``wsss_core.datasets.images``: every kind of file comes out in one form."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.image_check import check_images
from wsss_core.datasets.images import grey_bits, image_size, read_image, read_mask
from wsss_core.datasets.raw_dataset import ListedImage
from wsss_core.errors import UserError

HEIGHT, WIDTH = 5, 7
COLOURS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = COLOURS[..., 0]


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def check_form(pixels: np.ndarray, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*shape, 3)
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


def test_rgb_is_read_as_it_is(tmp_path):
    path = saved(Image.fromarray(COLOURS), tmp_path / "a.png")
    check_form(read_image(path))
    assert np.array_equal(read_image(str(path)), COLOURS)


def test_grey_has_three_equal_channels(tmp_path):
    pixels = read_image(saved(Image.fromarray(GREY), tmp_path / "a.png"))
    check_form(pixels)
    assert np.array_equal(pixels, np.stack([GREY] * 3, axis=-1))


def test_one_bit_is_black_and_white(tmp_path):
    image = Image.fromarray(GREY > 127)
    pixels = read_image(saved(image, tmp_path / "a.png"))
    check_form(pixels)
    assert np.array_equal(pixels[..., 1], np.where(GREY > 127, 255, 0))


def test_transparency_is_laid_over_white(tmp_path):
    alpha = np.full((HEIGHT, WIDTH, 1), 255, dtype=np.uint8)
    alpha[0], alpha[1] = 0, 51
    image = Image.fromarray(np.concatenate([COLOURS, alpha], axis=-1))
    pixels = read_image(saved(image, tmp_path / "a.png"))
    check_form(pixels)
    assert (pixels[0] == 255).all()
    assert np.abs(pixels[1] - (0.2 * COLOURS[1] + 0.8 * 255)).max() <= 1
    assert np.array_equal(pixels[2:], COLOURS[2:])


def test_grey_with_transparency_is_laid_over_white(tmp_path):
    alpha = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    alpha[0] = 0
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    pixels = read_image(saved(image, tmp_path / "a.png"))
    assert (pixels[0] == 255).all()
    assert np.array_equal(pixels[1:, :, 2], GREY[1:])


def test_palette_becomes_colours(tmp_path):
    image = Image.fromarray((GREY % 3).astype(np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pixels = read_image(saved(image, tmp_path / "a.png"))
    check_form(pixels)
    assert np.array_equal(pixels, 255 * np.eye(3, dtype=np.uint8)[GREY % 3])


def test_transparent_palette_entry_is_white(tmp_path):
    image = Image.fromarray((GREY % 3).astype(np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pixels = read_image(saved(image, tmp_path / "a.png", transparency=1))
    assert (pixels[GREY % 3 == 1] == 255).all()
    assert (pixels[GREY % 3 == 0] == [255, 0, 0]).all()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_colour_spaces_are_converted(tmp_path, mode):
    flat = Image.new("RGB", (WIDTH, HEIGHT), (200, 40, 90)).convert(mode)
    path = saved(flat, tmp_path / "a.tif")
    pixels = read_image(path)
    check_form(pixels)
    assert np.abs(pixels.astype(int) - [200, 40, 90]).max() <= 6


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    deep = np.linspace(0, 65535, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    pixels = read_image(saved(Image.fromarray(deep), tmp_path / f"a.{suffix}"))
    check_form(pixels)
    assert np.array_equal(pixels[..., 0], np.round(deep / 257.0))
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(Image.fromarray(GREY.astype(np.float32)), tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif: has floating-point pixels.*8-bit"):
        read_image(path)


def test_32_bit_grey_beyond_16_bits_is_refused(tmp_path):
    path = saved(Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)), tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif: has grey values outside 0\.\.65535"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(COLOURS), tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(path) as image:
        image.load()
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = read_image(path)
    assert np.array_equal(pixels, expected)
    sideways = orientation >= 5
    check_form(pixels, (WIDTH, HEIGHT) if sideways else (HEIGHT, WIDTH))
    assert image_size(path) == pixels.shape[:2]


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_unknown_orientation_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(COLOURS), tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(path), COLOURS)
    assert image_size(path) == (HEIGHT, WIDTH)


def test_damaged_exif_is_upright(tmp_path):
    exif = b"Exif\x00\x00nonsense"
    path = saved(Image.fromarray(COLOURS), tmp_path / "a.jpg", exif=exif)
    check_form(read_image(path))
    assert image_size(path) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "1", "I;16"])
def test_one_pixel(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    path = saved(Image.new(mode, (1, 1)), tmp_path / f"a.{suffix}")
    check_form(read_image(path), (1, 1))
    assert image_size(path) == (1, 1)


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    pixels = read_image(path)
    check_form(pixels, (3, 4))
    assert (pixels == [255, 0, 0]).all()


def noise_file(path: Path) -> Path:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return saved(Image.fromarray(noise), path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "gif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_file_is_named(tmp_path, suffix, kept):
    path = noise_file(tmp_path / f"cut.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "copy or download it again" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\xff\xd8\xff", b"\x89PNG"])
@pytest.mark.parametrize("reader", [read_image, read_mask, image_size])
def test_file_of_no_image_is_named(tmp_path, content, reader):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.jpg: .*copy or download it again"):
        reader(path)


@pytest.mark.parametrize("reader", [read_image, read_mask, image_size])
def test_missing_file_and_folder_are_named(tmp_path, reader):
    with pytest.raises(UserError, match=r"none\.jpg: there is no such \w+ file"):
        reader(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="cannot be opened"):
        reader(tmp_path)


def test_too_many_pixels_is_named(tmp_path, monkeypatch):
    path = noise_file(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"big\.png: has too many pixels"):
        read_image(path)


def test_palette_mask_gives_the_numbers(tmp_path):
    numbers = np.array([[0, 1, 20], [255, 254, 7]], dtype=np.uint8)
    image = Image.fromarray(numbers)
    image.putpalette(bytes(reversed(range(256))) * 3)
    mask = read_mask(saved(image, tmp_path / "a.png"))
    assert mask.dtype == np.uint8
    assert mask.flags.writeable
    assert np.array_equal(mask, numbers)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palette_mask_of_few_bits_gives_the_numbers(tmp_path, bits):
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2**bits
    image = Image.fromarray(numbers)
    image.putpalette(bytes(range(3 * 2**bits)))
    assert np.array_equal(read_mask(saved(image, tmp_path / "a.png", bits=bits)), numbers)


def test_grey_mask_gives_the_numbers(tmp_path):
    assert np.array_equal(read_mask(saved(Image.fromarray(GREY), tmp_path / "a.png")), GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1"])
def test_mask_of_another_kind_is_refused(tmp_path, mode):
    path = saved(Image.new(mode, (3, 2)), tmp_path / "a.png")
    with pytest.raises(UserError, match=rf"a\.png: has pixels of kind .*{mode[0]}.*palette"):
        read_mask(path)


def test_lossy_mask_is_refused(tmp_path):
    path = saved(Image.fromarray(GREY), tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg: is a JPEG file; a mask is a PNG"):
        read_mask(path)


def test_grey_mask_of_few_bits_is_refused(tmp_path):
    """Pillow would stretch its values from 0..15 to 0..255."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00\x12")) + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match=r"a\.png: has pixels of kind L;4"):
        read_mask(path)


def test_truncated_mask_is_named(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut\.png: is truncated or damaged"):
        read_mask(path)


def test_one_pixel_mask(tmp_path):
    path = saved(Image.new("L", (1, 1), 3), tmp_path / "a.png")
    assert read_mask(path).tolist() == [[3]]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_a_few_bits_is_stretched(tmp_path, bits, suffix):
    values = np.linspace(0, 2**bits - 1, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    path = saved(Image.fromarray(values), tmp_path / f"a.{suffix}")
    pixels = read_image(path)
    assert grey_bits(path) == bits
    assert np.array_equal(pixels[..., 0], np.round(values / (2**bits - 1) * 255))


def deep_png(path: Path, values: np.ndarray) -> Path:
    """Write 16-bit colours, which Pillow does not."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_colours_of_12_bits_in_16_are_refused_as_pillow_keeps_the_upper_8(tmp_path):
    values = COLOURS.astype(np.uint16) * 16
    with pytest.raises(UserError, match=r"a\.png: has 16-bit colours of which only the lower bits are used"):
        read_image(deep_png(tmp_path / "a.png", values))
    assert np.array_equal(read_image(deep_png(tmp_path / "a.png", values * 16)), COLOURS)
    assert grey_bits(tmp_path / "a.png") is None


def few_levels(path: Path) -> list[str]:
    """What the check says of an image's levels."""
    _, faults, odd = check_images([ListedImage("a", "train", path, frozenset(), "")])
    assert not faults
    return [fault.detail for fault in odd if fault.kind == FaultKind.FEW_LEVELS]


@pytest.mark.parametrize(("saturated", "reported"), [(0, False), (1, True), (16, True), (400, False)])
def test_a_saturated_pixel_among_12_bits_is_reported(tmp_path, saturated, reported):
    values = np.random.default_rng(0).integers(0, 4096, (48, 48)).astype(np.uint16)
    values.flat[:saturated] = 65535
    found = few_levels(saved(Image.fromarray(values), tmp_path / "grey.tif"))
    assert bool(found) == reported
    assert all(re.search("99 % of its pixels have only 1[67] of the 256 values", text) for text in found)
    colours = np.stack([values] * 3, axis=-1)
    if reported:
        (found,) = few_levels(deep_png(tmp_path / "colours.png", colours))
        assert "has 16 bits" in found
        assert not few_levels(saved(Image.fromarray((values >> 8).astype(np.uint8)), tmp_path / "8.png"))


@pytest.mark.parametrize("reader", [read_image, read_mask, image_size])
def test_a_drawing_in_postscript_is_not_run(tmp_path, reader, monkeypatch):
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOURS).save(path, format="EPS")
    monkeypatch.setattr("subprocess.check_call", lambda *arguments, **options: pytest.fail("something was started"))
    with pytest.raises(UserError, match=r"a\.jpg: is a drawing in PostScript \(EPS\), which is not read"):
        reader(path)


@pytest.mark.parametrize("form", ["PSD", "TGA", "ICO", "PCX", "SGI"])
def test_no_other_format_is_opened(tmp_path, form):
    path = tmp_path / "a.png"
    if form == "PSD":
        path.write_bytes(b"8BPS\0\1" + bytes(100))
    else:
        Image.fromarray(COLOURS).save(path, format=form)
    with pytest.raises(UserError, match=r"a\.png: is (a Photoshop|a Windows icon|of no format that is read)"):
        read_image(path)
