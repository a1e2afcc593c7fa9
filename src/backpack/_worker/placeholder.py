"""Draw the placeholder that viewers see before there is a frame."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from backpack._ipc.settings import PixelFormat
from backpack._media.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

_BACKGROUND = 40
_INK = 210

# Five columns of seven pixels, the lowest bit on top: the letters that the
# card needs, so that no font has to be installed.
_GLYPHS = {
    "A": (0x7E, 0x11, 0x11, 0x11, 0x7E),
    "E": (0x7F, 0x49, 0x49, 0x49, 0x41),
    "F": (0x7F, 0x09, 0x09, 0x09, 0x01),
    "G": (0x3E, 0x41, 0x49, 0x49, 0x7A),
    "I": (0x00, 0x41, 0x7F, 0x41, 0x00),
    "M": (0x7F, 0x02, 0x0C, 0x02, 0x7F),
    "N": (0x7F, 0x04, 0x08, 0x10, 0x7F),
    "O": (0x3E, 0x41, 0x41, 0x41, 0x3E),
    "R": (0x7F, 0x09, 0x19, 0x29, 0x46),
    "S": (0x46, 0x49, 0x49, 0x49, 0x31),
    "T": (0x01, 0x01, 0x7F, 0x01, 0x01),
    "W": (0x3F, 0x40, 0x38, 0x40, 0x3F),
    " ": (0, 0, 0, 0, 0),
}
_GLYPH_HEIGHT = 7
_PITCH = 6


class Placeholder:
    """
    A gray picture that says that there are no frames yet.

    Args:
        width: Pixels in a row.
        height: Rows.
        text: What it says, of the letters that are drawn here.

    """

    def __init__(self, width: int, height: int, text: str = "WAITING FOR FRAMES") -> None:
        self._pixels = array("B", bytes([_BACKGROUND]) * (width * height))
        self._width = width
        self._height = height
        columns = [column for letter in text for column in (*_GLYPHS[letter], 0)]
        scale = max(1, min(width * 6 // 10 // len(columns), height // 2 // _GLYPH_HEIGHT))
        if len(columns) <= width and height >= _GLYPH_HEIGHT:
            self._draw(columns, scale)

    @property
    def picture(self) -> Picture:
        """The card's pixels, valid as long as the placeholder is."""
        address, _ = self._pixels.buffer_info()
        return Picture(address, self._width, self._width, self._height, PixelFormat.GRAY)

    def _draw(self, columns: Sequence[int], scale: int) -> None:
        left = (self._width - len(columns) * scale) // 2
        top = (self._height - _GLYPH_HEIGHT * scale) // 2
        dot = array("B", bytes([_INK]) * scale)
        for x, column in enumerate(columns):
            for y in range(_GLYPH_HEIGHT):
                if not column >> y & 1:
                    continue
                for row in range(scale):
                    start = (top + y * scale + row) * self._width + left + x * scale
                    self._pixels[start : start + scale] = dot
