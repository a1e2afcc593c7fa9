"""Be an application that uses every core it gets: what streaming takes, it loses."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.frames import back_and_forth

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from benchmarks.frames import Frames

__all__ = ["MotionFinder"]

# More strips than threads: a thread that was held up does fewer of them.
STRIPS = 8


class MotionFinder:
    """
    Find what moves, in strips of the picture shared out among threads.

    Every step is OpenCV's and lets other threads run meanwhile. A round is
    over when its last strip is, as in applications that answer frame by frame.

    Args:
        frames: What to look at, over and over.
        threads: How many search at a time.

    """

    def __init__(self, frames: Frames, threads: int) -> None:
        # The threads are ours; OpenCV's own would come on top of them.
        cv2.setNumThreads(1)
        self._frames = frames
        self._pool = ThreadPoolExecutor(threads)
        height = frames.shape[1] // STRIPS
        self._rows = [slice(i * height, (i + 1) * height) for i in range(STRIPS)]
        self._backgrounds = [cv2.createBackgroundSubtractorMOG2() for _ in self._rows]
        self._step = 0

    def round(self) -> Frames:
        """Search one frame on all threads, and give that frame."""
        frame: Frames = self._frames[back_and_forth(self._step, len(self._frames))]
        self._step += 1
        jobs = [self._pool.submit(self._search, frame, strip) for strip in range(STRIPS)]
        for job in jobs:
            job.result()
        return frame

    def run(self, seconds: float, fps: int, put: Callable[[Frames], object] | None) -> int:
        """
        Go round as often as can be.

        Args:
            seconds: For how long.
            fps: How often in a second a frame is handed over, at the most.
            put: What hands over; None: nothing is.

        Returns:
            How many rounds it made.

        """
        rounds = 0
        due = time.monotonic()
        end = due + seconds
        while (now := time.monotonic()) < end:
            frame = self.round()
            rounds += 1
            if put and now >= due:
                put(frame)
                due = max(due + 1 / fps, now - 1 / fps)
        return rounds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def _search(self, frame: Frames, strip: int) -> int:
        gray = cv2.cvtColor(frame[self._rows[strip]], cv2.COLOR_BGR2GRAY)
        small = cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        moved = self._backgrounds[strip].apply(cv2.GaussianBlur(small, (5, 5), 0))
        _, mask = cv2.threshold(moved, 200, 255, cv2.THRESH_BINARY)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return len(contours)
