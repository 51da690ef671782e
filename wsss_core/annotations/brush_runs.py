"""Run lengths of Label Studio's brush: thi.ng's ``rle-pack`` of an image's red, green, blue and alpha bytes.

The header has 32 bits for the number of bytes, 5 for the bits of a value minus one, and four times 4 for the possible
sizes (minus one) of a run's length. Each run has one bit that says whether one value is repeated, two that choose the
size, the length minus one, and the value or all values. Source: https://github.com/thi-ng/umbrella, packages/rle-pack.
"""

from collections.abc import Sequence

import numpy as np

SIZES = (3, 4, 8, 16)
"""The possible numbers of bits of a length, as in Label Studio's own converter."""
_LONGEST = 1 << SIZES[-1]
_CHANNELS = 4
_COVERED = 128
"""A pixel is in the region if its alpha is at least this: the brush's edges are blurred."""


def pack(mask: np.ndarray) -> list[int]:
    """Encode a mask, bool (H, W), as bytes."""
    flat = mask.ravel()
    bits = [f"{flat.size * _CHANNELS:032b}{7:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
    for start, length in zip(starts, np.diff(starts), strict=False):
        value = f"{255 * int(flat[start]):08b}"
        left = int(length) * _CHANNELS
        while left:
            run = min(left, _LONGEST)
            index = next(number for number, size in enumerate(SIZES) if run <= 1 << size)
            bits.append(f"1{index:02b}{run - 1:0{SIZES[index]}b}{value}")
            left -= run
    text = "".join(bits)
    return list(int(text + "0" * (-len(text) % 8), 2).to_bytes((len(text) + 7) // 8, "big"))


def unpack(packed: Sequence[int], height: int, width: int) -> np.ndarray:
    """Decode a mask, bool (H, W), written by :func:`pack` or Label Studio.

    Raises:
        ValueError: the bytes are damaged, or belong to an image of another size.
    """
    try:
        content = bytes(packed)
    except (TypeError, ValueError):
        raise ValueError("'rle' is not a list of bytes") from None
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
    place = 0

    def number(size: int) -> int:
        nonlocal place
        place += size
        if place > len(bits):
            raise ValueError("'rle' ends too early")
        return int("".join(map(str, bits[place - size : place])), 2)

    total = number(32)
    if total != height * width * _CHANNELS:
        raise ValueError(f"'rle' has {total} bytes; an image of {height} x {width} pixels has {height * width * 4}")
    word = number(5) + 1
    sizes = [number(4) + 1 for _ in SIZES]
    if word != 8:
        raise ValueError(f"'rle' has values of {word} bits, not 8")
    values = np.zeros(total, dtype=np.uint8)
    done = 0
    while done < total:
        repeated = number(1)
        end = done + 1 + number(sizes[number(2)])
        if end > total:
            raise ValueError("'rle' has more values than it says")
        if repeated:
            values[done:end] = number(word)
        else:
            first, place = place, place + word * (end - done)
            if place > len(bits):
                raise ValueError("'rle' ends too early")
            values[done:end] = np.packbits(bits[first:place])
        done = end
    return values.reshape(height, width, _CHANNELS)[..., -1] >= _COVERED
