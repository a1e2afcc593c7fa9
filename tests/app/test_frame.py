from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backpack._app.frame import as_pixels, check_frame
from backpack._ipc.settings import PixelFormat
from backpack.errors import FrameError


class Tensor:
    """Look like a tensor of torch."""

    def cpu(self) -> Tensor:
        """Give itself."""
        return self

    def numpy(self) -> np.ndarray:
        """Give the array."""
        return np.zeros((4, 4, 3), np.uint8)


class Picture:
    """Look like a picture of PIL."""

    __array__ = None


class UMat:
    """Look like OpenCV's array on a device."""

    def get(self) -> np.ndarray:
        """Give the array."""
        return np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("shape", "pixel_format"),
    [
        ((480, 640, 3), PixelFormat.BGR),
        ((480, 640, 4), PixelFormat.BGRA),
        ((480, 640), PixelFormat.GRAY),
        ((480, 640, 1), PixelFormat.GRAY),
        ((1, 1, 3), PixelFormat.BGR),
        ((37, 41, 3), PixelFormat.BGR),
        ((4320, 7680), PixelFormat.GRAY),
        ((8192, 1), PixelFormat.GRAY),
    ],
)
def test_frames_are_told_by_their_shape(shape: tuple[int, ...], pixel_format: PixelFormat) -> None:
    """Three channels are BGR, four BGRA, one or none gray; any size up to 8192."""
    assert check_frame(np.zeros(shape, np.uint8)) is pixel_format


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (np.zeros((4, 4, 3), np.float32), "dtype is float32"),
        (np.zeros((4, 4, 3), np.int8), "dtype is int8"),
        (np.zeros((4, 4, 3), bool), "dtype is bool"),
        (np.zeros((4, 4, 3), object), "dtype is object"),
        (np.zeros((4, 4, 2), np.uint8), "2 channels"),
        (np.zeros((4, 4, 5), np.uint8), "5 channels"),
        (np.zeros((4, 4, 0), np.uint8), "0 channels"),
        (np.zeros(4, np.uint8), "1 dimensions"),
        (np.zeros((), np.uint8), "0 dimensions"),
        (np.zeros((1, 4, 4, 3), np.uint8), "4 dimensions"),
        (np.zeros((0, 4, 3), np.uint8), "4x0 pixels"),
        (np.zeros((4, 0, 3), np.uint8), "0x4 pixels"),
        (np.zeros((1, 8193), np.uint8), "8193x1 pixels"),
        (np.zeros((8193, 1, 3), np.uint8), "1x8193 pixels"),
        (None, "ended or failed gives None"),
        ([[0, 0], [0, 0]], "but list was put"),
        (b"\0\0\0", "but bytes was put"),
        (Tensor(), r"frame\.cpu\(\)\.numpy\(\)"),
        (Picture(), r"numpy\.asarray"),
        (UMat(), r"frame\.get\(\)"),
        (np.zeros((4, 4, 3), np.uint8).data, "but memoryview was put"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, says: str) -> None:
    """The error says which property is wrong and what to do about it."""
    with pytest.raises(FrameError, match=says) as caught:
        check_frame(frame)
    assert isinstance(caught.value, ValueError)


def test_a_channel_of_its_own_is_no_third_dimension() -> None:
    """One channel is seen as gray without a copy."""
    frame = np.zeros((4, 5, 1), np.uint8)
    pixels = as_pixels(frame)

    assert pixels.shape == (4, 5)
    assert np.shares_memory(frame, pixels)
