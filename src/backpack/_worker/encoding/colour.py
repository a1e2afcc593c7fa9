"""
Turn pictures into what encoders take: 4:2:0, BT.601, limited range.

libyuv is called through ctypes, from the ring's memory straight into the
encoder's buffer. It is several times as fast as GStreamer's own converter
(`backpack._worker.encoding.raw`), which steps in where libyuv is not installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from backpack._ipc.settings import PixelFormat
from backpack._lib.packages import install_hint
from backpack.errors import MissingDependencyError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.picture import Picture

_LIBRARY_NAMES: Final = ("libyuv.so.0", "libyuv.so", "libyuv.dylib")

_FILTER_BOX: Final = 3
"""libyuv's `kFilterBox`: averages when it shrinks, bilinear when it enlarges."""

_BLACK: Final = (16, 128, 128)

COLORIMETRY: Final = "2:4:5:1"
"""
What comes out, in GStreamer's numbers: limited range, BT.601's matrix, BT.709's transfer, and
BT.709's primaries, which are those of sRGB.
"""


@dataclass(frozen=True)
class Layout:
    """
    How the pixels of one buffer lie, and how many bytes they take.

    Attributes:
        caps: The same in GStreamer's words.
        size: Bytes.

    """

    caps: str
    size: int


@dataclass(frozen=True)
class Rect:
    """A part of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Converter(Protocol):
    """
    Fill an encoder's buffer with a picture.

    Used by one thread.
    """

    def layout(self, picture: Picture) -> Layout:
        """Return what `fill` will make of such a picture."""

    def fill(self, picture: Picture, address: int) -> None:
        """Write the picture to ``address``, where `layout` has its place."""


def fit(width: int, height: int, into_width: int, into_height: int) -> Rect:
    """
    Place a picture in the middle of another, as large as goes, aspect kept.

    All sides are even, since one chroma sample covers two by two pixels.
    """
    scale = min(into_width / width, into_height / height)
    fitted_width = min(into_width, max(2, round(width * scale / 2) * 2))
    fitted_height = min(into_height, max(2, round(height * scale / 2) * 2))
    return Rect(
        (into_width - fitted_width) // 4 * 2,
        (into_height - fitted_height) // 4 * 2,
        fitted_width,
        fitted_height,
    )


def is_cropped(picture: Picture, width: int, height: int) -> bool:
    """
    Return whether a picture is the stream's size but for the last row or column.

    An odd size is made even by leaving these out: scaling by a thousandth
    would cost time and blur every edge.
    """
    return 0 <= picture.width - width <= 1 and 0 <= picture.height - height <= 1


@functools.cache
def load_libyuv() -> ctypes.CDLL | None:
    """Load libyuv, or give None where it is not installed."""
    for name in _LIBRARY_NAMES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    return None


class LibyuvConverter:
    """
    Convert with libyuv.

    Args:
        width: Even width of what comes out.
        height: Even height of what comes out.
        raw_format: ``I420`` or ``NV12``.
        framerate: Nominal rate, as ``numerator/denominator``.

    Raises:
        MissingDependencyError: libyuv is not installed.

    """

    def __init__(self, width: int, height: int, raw_format: str, framerate: str) -> None:
        library = load_libyuv()
        if library is None:
            raise MissingDependencyError(f"libyuv is missing. {install_hint('libyuv0')}")
        self._yuv = library
        self._size = (width, height)
        self._nv12 = raw_format == "NV12"
        self._strides = (_pad4(width), _pad4(width // 2))
        # The size of I420 and NV12 is the same where half the width is a
        # multiple of four, else I420's chroma rows are padded more.
        chroma = _pad4(width) * (height // 2) if self._nv12 else self._strides[1] * height
        self._layout = Layout(
            f"video/x-raw,format={raw_format},width={width},height={height},"
            f"framerate={framerate},pixel-aspect-ratio=1/1,interlace-mode=progressive,"
            f"colorimetry={COLORIMETRY}",
            self._strides[0] * height + chroma,
        )
        self._functions: dict[str, Callable[..., int]] = {}
        # Memory between two steps, by what it is for. Kept, because fresh
        # memory costs a page fault for every 4 KiB of it.
        self._scratch: dict[str, ctypes.Array[ctypes.c_char]] = {}

    def layout(self, picture: Picture) -> Layout:  # noqa: ARG002 - the size is the stream's own
        """The size and format of the stream, the same for all pictures."""
        return self._layout

    def fill(self, picture: Picture, address: int) -> None:
        """Convert the picture, scale it if its size differs, and write it to ``address``."""
        width, height = self._size
        planes = self._planes(address, width, height)
        if self._nv12:
            # libyuv has no direct way from BGR to NV12.
            memory = self._memory("nv12", self._i420_bytes(width, height))
            planes = self._planes(memory, width, height)
        if is_cropped(picture, width, height):
            self._to_i420(picture, planes, width, height)
        else:
            self._scale(picture, planes)
        if self._nv12:
            stride = self._strides[0]
            self._call(
                "I420ToNV12", *planes, address, stride, address + stride * height, stride,
                width, height,
            )  # fmt: skip

    def _scale(self, picture: Picture, planes: tuple[int, ...]) -> None:
        memory = self._memory("scale", self._i420_bytes(picture.width, picture.height))
        source = self._planes(memory, picture.width, picture.height)
        self._to_i420(picture, source, picture.width, picture.height)
        place = fit(picture.width, picture.height, *self._size)
        if (place.width, place.height) != self._size:
            self._call("I420Rect", *planes, 0, 0, *self._size, *_BLACK)
        y, y_stride, u, u_stride, v, v_stride = planes
        corner = place.y // 2 * u_stride + place.x // 2
        self._call(
            "I420Scale", *source, picture.width, picture.height,
            y + place.y * y_stride + place.x, y_stride, u + corner, u_stride, v + corner, v_stride,
            place.width, place.height, _FILTER_BOX,
        )  # fmt: skip

    def _to_i420(self, picture: Picture, planes: tuple[int, ...], width: int, height: int) -> None:
        source, stride = picture.address, picture.stride
        if picture.pixel_format is PixelFormat.BGR:
            # libyuv names bytes from the last to the first: its RGB24 is BGR.
            self._call("RGB24ToI420", source, stride, *planes, width, height)
            return
        if picture.pixel_format is PixelFormat.GRAY:
            # J400 is full-range gray. Going through ARGB squeezes it into the
            # limited range that the stream promises.
            argb = self._memory("gray", width * height * 4)
            self._call("J400ToARGB", source, stride, argb, width * 4, width, height)
            source, stride = argb, width * 4
        self._call("ARGBToI420", source, stride, *planes, width, height)

    def _planes(self, address: int, width: int, height: int) -> tuple[int, ...]:
        """Return address and stride of Y, U and V, as GStreamer lays I420 out."""
        y_stride, u_stride = _pad4(width), _pad4((width + 1) // 2)
        u = address + y_stride * (height + height % 2)
        return (address, y_stride, u, u_stride, u + u_stride * ((height + 1) // 2), u_stride)

    def _i420_bytes(self, width: int, height: int) -> int:
        return (_pad4(width) + _pad4((width + 1) // 2)) * (height + height % 2)

    def _memory(self, purpose: str, size: int) -> int:
        memory = self._scratch.get(purpose)
        if memory is None or len(memory) < size:
            memory = self._scratch[purpose] = ctypes.create_string_buffer(size)
        return ctypes.addressof(memory)

    def _call(self, name: str, *arguments: int) -> None:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._prepare(name, arguments)
        if function(*arguments) != 0:
            raise PipelineError(f"libyuv's {name} refused its arguments: {arguments}.")

    def _prepare(self, name: str, arguments: tuple[int, ...]) -> Callable[..., int]:
        function: Any = getattr(self._yuv, name)
        # Addresses are wider than the C int that ctypes takes a number for;
        # widths, heights and strides fit into one, and follow C's convention
        # for negative ones.
        function.argtypes = [_TYPES[kind] for kind in _SIGNATURES[name]]
        function.restype = ctypes.c_int
        if len(function.argtypes) != len(arguments):
            raise PipelineError(f"{name} is called with {len(arguments)} arguments.")
        return function  # type: ignore[no-any-return]


_TYPES: Final = {"p": ctypes.c_void_p, "i": ctypes.c_int}

_PLANES: Final = "pipipi"

_SIGNATURES: Final = {
    # From libyuv's convert.h, convert_argb.h, planar_functions.h and scale.h;
    # p is a pointer, i an int (an enum for the filter).
    "RGB24ToI420": "pi" + _PLANES + "ii",
    "ARGBToI420": "pi" + _PLANES + "ii",
    "J400ToARGB": "pipiii",
    "I420ToNV12": _PLANES + "pipiii",
    "I420Rect": _PLANES + "iiiiiii",
    "I420Scale": _PLANES + "ii" + _PLANES + "iii",
}


def _pad4(size: int) -> int:
    """Round up to a multiple of four, as GStreamer does with rows."""
    return (size + 3) // 4 * 4
