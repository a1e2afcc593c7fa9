from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from backpack._worker.encoding import colour
from backpack._worker.encoding.colour import LibyuvConverter, Rect, fit, load_libyuv
from backpack._worker.encoding.raw import RawConverter
from backpack.errors import MissingDependencyError, PipelineError
from tests.pictures import picture_of


def converted(frame: Any, width: int, height: int, raw_format: str = "I420") -> Any:
    """Convert and give the bytes, with a guard behind them that must not change."""
    converter = LibyuvConverter(width, height, raw_format, "30/1")
    picture = picture_of(frame)
    size = converter.layout(picture).size
    memory = ctypes.create_string_buffer(b"\xa5" * (size + 64), size + 64)
    converter.fill(picture, ctypes.addressof(memory))
    data = np.frombuffer(memory, np.uint8)
    assert (data[size:] == 0xA5).all()
    return data[:size]


@pytest.mark.parametrize(
    ("size", "into", "place"),
    [
        ((640, 480), (1280, 720), Rect(160, 0, 960, 720)),
        ((1920, 800), (1280, 720), Rect(0, 92, 1280, 534)),
        ((1280, 720), (1280, 720), Rect(0, 0, 1280, 720)),
        ((1, 4000), (1280, 720), Rect(638, 0, 2, 720)),
        ((4000, 1), (16, 16), Rect(0, 6, 16, 2)),
    ],
)
def test_a_picture_is_placed_in_the_middle(
    size: tuple[int, int], into: tuple[int, int], place: Rect
) -> None:
    """As large as goes, in shape, and on even pixels."""
    assert fit(*size, *into) == place


@pytest.mark.parametrize("raw_format", ["I420", "NV12"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (66, 50), (62, 34), (16, 16)])
def test_rows_lie_as_gstreamer_expects(raw_format: str, width: int, height: int) -> None:
    """Luma rows are padded to four bytes, chroma stands where it belongs, no byte beyond."""
    data = converted(np.full((height, width, 3), (255, 0, 0), np.uint8), width, height, raw_format)

    stride = (width + 3) // 4 * 4
    luma, chroma = data[: stride * height], data[stride * height :]
    assert (luma.reshape(height, stride)[:, :width] == 41).all()
    if raw_format == "NV12":
        pairs = chroma.reshape(height // 2, stride)[:, :width]
        assert (pairs[:, ::2] == 239).all()
        assert (pairs[:, 1::2] == 110).all()
        return
    rows = chroma.reshape(2, height // 2, -1)[:, :, : width // 2]
    assert (rows[0] == 239).all()
    assert (rows[1] == 110).all()


def test_bars_are_black() -> None:
    """Limited range: black is 16, not 0."""
    data = converted(np.full((96, 48, 3), 255, np.uint8), 96, 96)
    luma = data[: 96 * 96].reshape(96, 96)
    assert (luma[:, :24] == 16).all()
    assert (luma[:, 24:72] == 235).all()
    assert (luma[:, 72:] == 16).all()
    assert (data[96 * 96 :] == 128).all()


def test_a_picture_that_libyuv_refuses_is_an_error() -> None:
    """No silent green frame."""
    with pytest.raises(PipelineError, match="RGB24ToI420"):
        converted(np.zeros((0, 0, 3), np.uint8).reshape(0, 0, 3), 0, 0)


def test_without_libyuv_there_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the package."""
    monkeypatch.setattr(colour, "_LIBRARY_NAMES", ("libnothing.so.9",))
    load_libyuv.cache_clear()
    try:
        assert load_libyuv() is None
        with pytest.raises(MissingDependencyError, match="libyuv0"):
            LibyuvConverter(64, 64, "I420", "30/1")
    finally:
        load_libyuv.cache_clear()


@pytest.mark.parametrize("width", [64, 66, 65])
def test_raw_rows_are_padded_and_read_no_further(width: int) -> None:
    """The picture's memory may end right behind its last pixel."""
    frame = np.arange(width * 10 * 3, dtype=np.uint8).reshape(10, width, 3)
    converter = RawConverter(640, 480, "30/1")
    size = converter.layout(picture_of(frame)).size
    memory = ctypes.create_string_buffer(size)
    converter.fill(picture_of(frame), ctypes.addressof(memory))

    rows = np.frombuffer(memory, np.uint8).reshape(10, -1)
    assert rows.shape[1] % 4 == 0
    assert (rows[:, : width * 3] == frame.reshape(10, -1)).all()
