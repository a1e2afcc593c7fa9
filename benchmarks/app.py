"""
Be the application that is watched; runs as a process of its own.

It does what the directing process tells it: play frames at a pace, work as
hard as it can, or compare handing over with a plain copy.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import frames, sides
from benchmarks.loop import MotionFinder
from benchmarks.remote import Answer, Inbox, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.frames import Frames

SEED = 20
BUFFERS = 3


class App:
    """
    Hold frames and the one side that they are put into.

    Args:
        inbox: Where commands come from; one that comes ends a ``play``.

    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._frames: Frames = np.empty(0, np.uint8)
        self._buffers: list[Frames] = []
        self._side = sides.make("nothing")
        # Counts on from one play to the next: no two frames have the same.
        self._number = 0

    def load(self, path: str, side: str, cpus: list[int] | None = None) -> Answer:
        """Read the frames and make the side; from then on run on these processors only."""
        if cpus:
            os.sched_setaffinity(0, cpus)
        self._frames = frames.load(Path(path))
        self._buffers = [np.zeros_like(self._frames[0]) for _ in range(BUFFERS)]
        self._side = sides.make(side)
        return {}

    def open(self, bitrate_kbps: int) -> Answer:
        """Start streaming; put a few frames, since some sides start with the first."""
        kind, location = self._side.open(frames.WIDTH, frames.HEIGHT, frames.FPS, bitrate_kbps)
        for frame in self._paced(seconds=0.5, fps=frames.FPS):
            self._side.put(frame)
        return {"kind": kind, "location": location}

    def play(self, seconds: float, fps: float = frames.FPS, jitter_ms: float = 0.0) -> Answer:
        """
        Put frames at a steady pace.

        Returns:
            For each: its number, the time of its put on the monotonic clock,
            how long that took, both in ns, and whether it was taken.

        """
        puts = []
        started = time.monotonic()
        for frame in self._paced(seconds, fps, jitter_ms):
            before = time.monotonic_ns()
            taken = self._side.put(frame)
            puts.append((self._number, before, time.monotonic_ns() - before, taken))
        return {"puts": puts, "seconds": time.monotonic() - started}

    def compare_with_copy(self, seconds: float, fps: float = frames.FPS) -> Answer:
        """
        Put frames for a second, then only copy them for a second, at the same pace, and so on.

        Not each frame in both ways: a copy right after a put would run beside the encoder
        that the put has woken, and a put right after a copy would find the frame in the cache.

        Returns:
            What each put of a frame that was taken, and each copy took, in ns.

        """
        copies = [np.zeros_like(self._frames[0]) for _ in range(BUFFERS)]
        took: dict[str, list[int]] = {"put": [], "copy": []}
        for step, frame in enumerate(self._paced(seconds, fps)):
            what = "copy" if int(step / fps) % 2 else "put"
            before = time.monotonic_ns()
            if what == "put":
                taken = self._side.put(frame)
            else:
                np.copyto(copies[step % BUFFERS], frame)
                taken = True
            after = time.monotonic_ns()
            if taken:
                took[what].append(after - before)
        return {"took_ns": took}

    def work(self, seconds: float, threads: int, *, put: bool) -> Answer:
        """
        Make as many rounds as can be, handing frames over at their rate or not at all.

        Returns:
            The rounds a second, and what each put took in ns.

        """
        took_ns: list[int] = []

        def hand_over(frame: Frames) -> None:
            before = time.monotonic_ns()
            self._side.put(frame)
            took_ns.append(time.monotonic_ns() - before)

        with MotionFinder(self._frames, threads) as finder:
            finder.run(0.3, frames.FPS, hand_over if put else None)
            took_ns.clear()
            started = time.monotonic()
            rounds = finder.run(seconds, frames.FPS, hand_over if put else None)
            ended = time.monotonic()
        return {"rounds_per_second": rounds / (ended - started), "took_ns": took_ns}

    def put_in_a_row(self, calls: int) -> Answer:
        """
        Put one frame over and over, with nothing in between.

        Returns:
            What each of a hundred equal parts of the calls took, in ns a call.

        """
        frame, part = self._frames[0], max(1, calls // 100)
        took_ns = []
        for _ in range(100):
            before = time.monotonic_ns()
            for _ in range(part):
                self._side.put(frame)
            took_ns.append((time.monotonic_ns() - before) / part)
        return {"took_ns": took_ns}

    def stats(self) -> Answer:
        """Tell what the side has counted."""
        return dict(self._side.stats())

    def close(self) -> Answer:
        """Stop streaming."""
        self._side.close()
        return {}

    def _paced(self, seconds: float, fps: float, jitter_ms: float = 0.0) -> Iterator[Frames]:
        random.seed(SEED)
        started = time.monotonic()
        step = 0
        while step < seconds * fps and not self._inbox.has_line():
            late = random.uniform(0, 2 * jitter_ms / 1000)
            wait = started + step / fps + late - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif -wait > 1 / fps:
                # Held up for a whole frame: go on from here, as with a camera.
                started -= wait
            yield self._capture()
            step += 1

    def _capture(self) -> Frames:
        """Bring the next frame into a buffer, as a camera or a decoder does just before."""
        self._number += 1
        frame = self._buffers[self._number % len(self._buffers)]
        picture = frames.back_and_forth(self._number, len(self._frames))
        np.copyto(frame, self._frames[picture])
        frames.stamp(frame, self._number)
        return frame


def main() -> None:
    """Serve the directing process."""
    inbox = Inbox(0)
    app = App(inbox)
    serve(
        {
            "load": app.load,
            "open": app.open,
            "play": app.play,
            "compare_with_copy": app.compare_with_copy,
            "put_in_a_row": app.put_in_a_row,
            "work": app.work,
            "stats": app.stats,
            "close": app.close,
        },
        inbox,
    )


if __name__ == "__main__":
    main()
