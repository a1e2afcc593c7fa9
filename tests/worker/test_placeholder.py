from __future__ import annotations

import ctypes

import numpy as np
import pytest

from backpack._ipc.settings import PixelFormat
from backpack._worker.placeholder import _BACKGROUND, _GLYPHS, _INK, Placeholder


def seen(card: Placeholder) -> np.ndarray:
    """Look at a placeholder's pixels."""
    picture = card.picture
    assert picture.pixel_format is PixelFormat.GRAY
    data = ctypes.string_at(picture.address, picture.stride * picture.height)
    return np.frombuffer(data, np.uint8).reshape(picture.height, picture.width)


def read(pixels: np.ndarray) -> str:
    """Read the text of a placeholder, as large as it may be."""
    rows, columns = np.nonzero(pixels == _INK)
    scale = (rows.max() - rows.min() + 1) // 7
    text = pixels[rows.min() : rows.max() + 1 : scale, columns.min() :: scale] == _INK
    letters = {bits: letter for letter, bits in _GLYPHS.items()}
    found = ""
    for left in range(0, text.shape[1] - 4, 6):
        bits = tuple(sum(1 << y for y in range(7) if text[y, left + x]) for x in range(5))
        if bits not in letters:
            break
        found += letters[bits]
    return found.rstrip()


@pytest.mark.parametrize(
    "size", [(640, 360), (1920, 1080), (120, 16), (320, 240), (8192, 16), (110, 4000)]
)
def test_the_card_can_be_read(size: tuple[int, int]) -> None:
    """Its text is there at every size that has room for it, scaled and centred."""
    pixels = seen(Placeholder(*size))
    rows, columns = np.nonzero(pixels == _INK)

    assert pixels.shape == (size[1], size[0])
    assert set(np.unique(pixels)) == {_BACKGROUND, _INK}
    assert read(pixels) == "WAITING FOR FRAMES"
    scale = (rows.max() - rows.min() + 1) // 7
    assert abs(rows.min() + rows.max() + 1 - size[1]) <= 2 * scale
    assert abs(columns.min() + columns.max() + 1 - size[0]) <= 2 * scale


def test_the_text_is_as_wide_as_looks_good() -> None:
    """Half of a usual card is text."""
    _, columns = np.nonzero(seen(Placeholder(1920, 1080)) == _INK)
    assert 0.45 <= (columns.max() - columns.min()) / 1920 <= 0.6


@pytest.mark.parametrize("size", [(16, 16), (100, 100), (107, 6)])
def test_a_card_without_room_is_plain(size: tuple[int, int]) -> None:
    """Where no text fits there is none."""
    assert (seen(Placeholder(*size)) == _BACKGROUND).all()


def test_every_letter_can_be_told_from_the_others() -> None:
    """No two letters are drawn alike."""
    assert len(set(_GLYPHS.values())) == len(_GLYPHS)
