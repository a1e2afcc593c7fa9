"""Make the frames that every side is measured with, and read their numbers back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

__all__ = [
    "CHECK_BITS",
    "FPS",
    "HEIGHT",
    "SQUARE",
    "SQUARES",
    "WIDTH",
    "back_and_forth",
    "load",
    "prepare",
    "read",
    "scale",
    "stamp",
    "unpack",
]

WIDTH, HEIGHT, FPS = 1920, 1080, 30

# Two seconds of different pictures, shown back and forth: no jump that would
# cost an encoder more than a camera's picture does.
COUNT = 60

# The number is a row of 32 black or white squares, its last 8 a checksum.
# A square of two macroblocks outlives any H.264 encoder.
SQUARE = 32
SQUARES = 32
CHECK_BITS = 8


def prepare(clip: Path, folder: Path) -> Path:
    """
    Scale the clip up and keep it where all processes find it.

    Args:
        clip: A video that OpenCV reads.
        folder: Where the frames are written, as one array of numpy's.

    """
    import cv2  # noqa: PLC0415 - only the directing process needs it

    capture = cv2.VideoCapture(str(clip))
    frames = np.empty((COUNT, HEIGHT, WIDTH, 3), np.uint8)
    for frame in frames:
        is_read, picture = capture.read()
        if not is_read:
            raise SystemExit(f"{clip}: fewer than {COUNT} frames")
        cv2.resize(picture, (WIDTH, HEIGHT), dst=frame, interpolation=cv2.INTER_LINEAR)
    capture.release()
    path = folder / "frames.npy"
    np.save(path, frames)
    return path


def scale(path: Path, width: int, height: int) -> Path:
    """
    Keep the frames in another size, beside what ``prepare`` has written.

    Args:
        path: What it gave.
        width: No less than the number needs.
        height: Of the new ones.

    """
    import cv2  # noqa: PLC0415 - only the directing process needs it

    scaled = np.stack(
        [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in load(path)]
    )
    other = path.with_name(f"frames-{width}x{height}.npy")
    np.save(other, scaled)
    return other


def load(path: Path) -> Frames:
    """Read all frames into memory, where a camera's would be."""
    frames: Frames = np.load(path)
    return frames


def back_and_forth(step: int, count: int) -> int:
    """Say which of ``count`` frames is shown at ``step``: forward, backward, forward."""
    position = step % (2 * count)
    return min(position, 2 * count - 1 - position)


def stamp(frame: Frames, number: int) -> None:
    """
    Draw a number into the frame's upper left corner.

    Args:
        frame: A BGR frame, changed in place.
        number: From 0 to 2**24 - 1.

    """
    word = np.array([number << CHECK_BITS | _check(number)], ">u4")
    bits = np.unpackbits(word.view(np.uint8)) * np.uint8(255)
    frame[:SQUARE, : SQUARE * SQUARES] = np.repeat(bits, SQUARE)[:, np.newaxis]


def read(luma: Frames) -> int | None:
    """
    Read the number that ``stamp`` drew.

    Args:
        luma: The brightness plane of the decoded picture.

    Returns:
        The number, or None where the picture carries none.

    """
    quarter = SQUARE // 4
    rows = luma[quarter : SQUARE - quarter]
    squares = rows[:, : SQUARE * SQUARES].reshape(len(rows), SQUARES, SQUARE)
    bits = squares[:, :, quarter:-quarter].mean(axis=(0, 2)) > 127
    return unpack(int(np.packbits(bits).view(">u4")[0]))


def unpack(word: int) -> int | None:
    """Give the number in what the squares say, None where the checksum is not its own."""
    number = word >> CHECK_BITS
    return number if word & 0xFF == _check(number) else None


def _check(number: int) -> int:
    # Black and white alone must not pass as a number.
    return (number ^ number >> 8 ^ number >> 16 ^ 0x5A) & 0xFF
