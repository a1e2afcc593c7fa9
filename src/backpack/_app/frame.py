"""Decide whether what the application put is a frame, and of which kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._ipc.settings import LARGEST_SIDE, PixelFormat
from backpack.errors import FrameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UINT8 = np.dtype(np.uint8)
_FORMATS = {3: PixelFormat.BGR, 4: PixelFormat.BGRA, 1: PixelFormat.GRAY}
_TAKEN = (
    "Pass a numpy array of dtype uint8 and shape (height, width, 3) in BGR order, "
    "(height, width, 4) in BGRA order, or (height, width) in gray."
)


def check_frame(frame: Any) -> PixelFormat:  # noqa: ANN401 - anything may be put
    """
    Return how the pixels of a frame lie.

    Args:
        frame: What was put. Any strides, writable or not.

    Raises:
        FrameError: It is not a frame; the message says which property is wrong.

    """
    if not isinstance(frame, np.ndarray):
        raise FrameError(_not_an_array(frame))
    if frame.dtype is not _UINT8 and frame.dtype != _UINT8:
        raise FrameError(
            f"The frame's dtype is {frame.dtype}, not uint8. {_TAKEN} "
            "Scale floats first: (frame * 255).clip(0, 255).astype(numpy.uint8)."
        )
    shape = frame.shape
    if len(shape) == 3:  # noqa: PLR2004 - height, width, channels
        pixel_format = _FORMATS.get(shape[2])
        if pixel_format is None:
            raise FrameError(f"The frame has {shape[2]} channels (shape {shape}). {_TAKEN}")
    elif len(shape) == 2:  # noqa: PLR2004 - height, width
        pixel_format = PixelFormat.GRAY
    else:
        raise FrameError(f"The frame has {len(shape)} dimensions (shape {shape}). {_TAKEN}")
    if not (0 < shape[0] <= LARGEST_SIDE and 0 < shape[1] <= LARGEST_SIDE):
        raise FrameError(
            f"The frame is {shape[1]}x{shape[0]} pixels. "
            f"Each side must have 1 to {LARGEST_SIDE} pixels."
        )
    return pixel_format


def as_pixels(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame as (height, width) or (height, width, channels > 1); no copy."""
    return frame[:, :, 0] if frame.ndim == 3 and frame.shape[2] == 1 else frame  # noqa: PLR2004


def ring_view(memory: Any, shape: tuple[int, ...], offset: int) -> NDArray[np.uint8]:  # noqa: ANN401
    """Make an array over a ring's memory."""
    array: NDArray[np.uint8] = np.ndarray(shape, np.uint8, memory, offset)
    return array


def _not_an_array(thing: object) -> str:
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")
    if thing is None:
        hint = "A video source that has ended or failed gives None: check what it returned."
    elif hasattr(thing, "get") and "UMat" in kind:
        hint = "Fetch it from the device first: frame.get()."
    elif hasattr(thing, "cpu") and hasattr(thing, "numpy"):
        hint = "Fetch a tensor from its device first: frame.cpu().numpy()."
    elif hasattr(thing, "__array__"):
        hint = "Convert it: numpy.asarray(frame). A PIL image is RGB: add [:, :, ::-1]."
    else:
        hint = _TAKEN
    return f"A frame is a numpy array, but {kind} was put. {hint}"
