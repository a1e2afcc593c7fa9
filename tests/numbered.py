"""Draw numbers into frames, large enough to outlive H.264, and read them back."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["HEIGHT", "WIDTH", "numbered", "read"]

BLOCK = 16
NUMBER_BITS = 16
CHECK_BITS = 4

WIDTH = BLOCK * (NUMBER_BITS + CHECK_BITS)
"""Narrowest frame that a number fits into."""

HEIGHT = 240


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT, *, grain: int = 0) -> Any:
    """
    Make a BGR frame with a row of black and white blocks: a number and its checksum.

    The rest is gray, or with a grain that takes bits as a camera's picture does.
    """
    frame = np.full((height, width, 3), 90, np.uint8)
    if grain:
        random = np.random.default_rng(number)
        frame[BLOCK:] += random.integers(0, grain, (height - BLOCK, width, 3), np.uint8)
    word = number << CHECK_BITS | _check(number)
    for place in range(NUMBER_BITS + CHECK_BITS):
        left = place * BLOCK
        frame[:BLOCK, left : left + BLOCK] = 255 * (word >> place & 1)
    return frame


def read(luma: bytes | Any, width: int = WIDTH) -> int | None:
    """Read the number of a decoded gray picture, None where it carries none."""
    row = BLOCK // 2 * width
    pixels = luma if isinstance(luma, bytes) else luma.reshape(-1)
    word = sum(
        (int(pixels[row + place * BLOCK + BLOCK // 2]) > 127) << place
        for place in range(NUMBER_BITS + CHECK_BITS)
    )
    number = word >> CHECK_BITS
    return number if word & (1 << CHECK_BITS) - 1 == _check(number) else None


def _check(number: int) -> int:
    # Black alone must not pass as a number, nor half of one and half of another.
    return (number ^ number >> 4 ^ number >> 8 ^ number >> 12 ^ 0b1010) & (1 << CHECK_BITS) - 1
