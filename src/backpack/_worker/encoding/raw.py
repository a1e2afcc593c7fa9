"""Hand pictures as they are to GStreamer's own converter, where libyuv is missing."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from backpack._ipc.settings import PixelFormat
from backpack._worker.encoding.colour import Layout, is_cropped

if TYPE_CHECKING:
    from backpack._media.picture import Picture

_FORMATS: Final = {
    PixelFormat.BGR: "format=BGR,colorimetry=sRGB",
    PixelFormat.BGRA: "format=BGRA,colorimetry=sRGB",
    PixelFormat.GRAY: "format=GRAY8,colorimetry=2:4:0:0",
}

# The gray that applications put is full range. videoconvert (1.22) takes gray
# for luma whatever range its caps name, so it is squeezed here; the 2 in the
# colorimetry says that it has been.
_TO_LIMITED: Final = bytes(round(16 + level * 219 / 255) for level in range(256))


class RawConverter:
    """
    Copy the pixels; elements behind it convert and scale them.

    Args:
        width: Even width of the stream.
        height: Even height of the stream.
        framerate: Nominal rate, as ``numerator/denominator``.

    """

    def __init__(self, width: int, height: int, framerate: str) -> None:
        self._size = (width, height)
        self._framerate = framerate

    def layout(self, picture: Picture) -> Layout:
        """The picture's own size and format."""
        width, height = self._shown(picture)
        return Layout(
            f"video/x-raw,{_FORMATS[picture.pixel_format]},width={width},height={height},"
            f"framerate={self._framerate},pixel-aspect-ratio=1/1,interlace-mode=progressive",
            self._stride(picture) * height,
        )

    def fill(self, picture: Picture, address: int) -> None:
        """Copy the picture's rows to ``address``."""
        width, height = self._shown(picture)
        stride = self._stride(picture)
        row_bytes = width * picture.pixel_format.bytes_per_pixel
        if picture.pixel_format is PixelFormat.GRAY:
            for row in range(height):
                gray = ctypes.string_at(picture.address + row * picture.stride, row_bytes)
                ctypes.memmove(address + row * stride, gray.translate(_TO_LIMITED), row_bytes)
            return
        first = 0
        if stride == picture.stride:
            # All but the last row, behind which the picture's memory may end.
            first = height - 1
            ctypes.memmove(address, picture.address, stride * first)
        for row in range(first, height):
            ctypes.memmove(
                address + row * stride, picture.address + row * picture.stride, row_bytes
            )

    def _shown(self, picture: Picture) -> tuple[int, int]:
        """Return how much of the picture is shown: a pixel too many is cropped."""
        if is_cropped(picture, *self._size):
            return self._size
        return picture.width, picture.height

    def _stride(self, picture: Picture) -> int:
        width, _ = self._shown(picture)
        # GStreamer pads the rows of every packed format to four bytes.
        return (width * picture.pixel_format.bytes_per_pixel + 3) // 4 * 4
