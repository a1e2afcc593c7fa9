"""
What tests need that go on for minutes.

SOAK_SECONDS scales all times: 7200, which is the default, gives those of the promises.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.end_to_end.apps import Put, Putter
from tests.numbered import BLOCK, numbered

if TYPE_CHECKING:
    from backpack.spyglass import SpyGlass
    from tests.end_to_end.conftest import Stage

__all__ = ["SOAK_SECONDS", "Camera", "camera", "memory", "scaled"]

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "7200"))
SCALE = SOAK_SECONDS / 7200

SEED = 3
PICTURES = 8


def scaled(seconds: float, least: float) -> float:
    """Tell how long something takes that takes so long in a full run."""
    return max(least, seconds * SCALE)


class Camera(Putter):
    """
    Put numbered frames with a grain that takes bits as a camera's does, and little time to make.

    Args:
        spyglass: Where to.
        width: Of the frames.
        height: Of the frames.
        grain: How strong it is, from 1 to 255.

    """

    def __init__(self, spyglass: SpyGlass, width: int, height: int, grain: int) -> None:
        super().__init__(spyglass, width=width, height=height)
        noise = np.random.default_rng(SEED)
        self._pictures = noise.integers(0, grain, (PICTURES, height, width, 3), np.uint8)

    def put(self, **options: Any) -> bool:
        """Put the next frame."""
        number, self._next = self._next, self._next + 1
        frame = self._pictures[number % PICTURES]
        frame[:BLOCK] = numbered(number, frame.shape[1], BLOCK)
        before_ns = time.time_ns()
        is_taken = self.spyglass.put(frame, **options)
        self.puts[number] = Put(before_ns, time.time_ns(), is_taken)
        return is_taken


def camera(stage: Stage, spyglass: SpyGlass, width: int, height: int, grain: int) -> Camera:
    """Let a camera put 30 frames a second."""
    made = Camera(spyglass, width, height, grain)
    stage.finally_do(made.stop)
    made.start(30)
    return made


def memory(pid: int) -> int:
    """Tell a process' share of memory (PSS) in bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(re.findall(r"^Pss: +(\d+)", text, re.MULTILINE)[0])
