"""
Find people in a video, draw a box around each, and let others watch.

Three lines of ``main`` concern SpyGlass: the ``with`` (``streaming`` looks for
free ports where the usual ones are taken), ``urls`` and ``put``. The rest is an
application as it would be without it, and the bill at the end, which shows
what those three lines cost.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from backpack.errors import AddressInUseError, BackpackError
from backpack.spyglass import SpyGlass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from backpack.stats import Stats

    Frame = NDArray[np.uint8]
    Box = tuple[int, int, int, int]

CLIP = Path(__file__).with_name("pedestrians.mp4")
URLS = ("http://127.0.0.1:8080/people", "rtsp://127.0.0.1:8554/people")
# Port 0 is one that is free; `urls` tells which.
FREE_URLS = ("http://127.0.0.1:0/people", "rtsp://127.0.0.1:0/people")
GREEN = (80, 220, 80)


class PeopleFinder:
    """
    Find people with OpenCV's HOG detector, on every second frame.

    Nobody walks far in a tenth of a second, and each search takes about 60 ms
    on two cores: the frame between two searches shows the last boxes.
    """

    EVERY = 2
    # The detector knows people from 96 pixels of height on; these here are smaller.
    ZOOM = 1.25
    # Below this it takes a lamp post for a person.
    CONFIDENCE = 0.5

    def __init__(self) -> None:
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))
        self._count = 0
        self._boxes: list[Box] = []

    def find(self, frame: Frame) -> list[Box]:
        """Give the boxes (x, y, width, height) around the people in a frame."""
        if self._count % self.EVERY == 0:
            self._boxes = self._search(frame)
        self._count += 1
        return self._boxes

    def _search(self, frame: Frame) -> list[Box]:
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        gray = cv2.resize(gray, None, fx=self.ZOOM, fy=self.ZOOM)
        found, confidence = self._hog.detectMultiScale(
            gray, winStride=(8, 8), padding=(8, 8), scale=1.1
        )
        boxes = np.array(found).reshape(-1, 4)[np.ravel(confidence) > self.CONFIDENCE]
        return [self._fit(box) for box in boxes / self.ZOOM]

    @staticmethod
    def _fit(box: NDArray[np.float64]) -> Box:
        # The detector's window leaves a margin around the person.
        x, y, width, height = box
        return int(x + 0.15 * width), int(y + 0.06 * height), int(0.7 * width), int(0.86 * height)


def play(clip: Path) -> Iterator[Frame]:
    """
    Give a clip's frames at its own pace, over and over.

    An application that is too slow misses frames, as it would with a camera.
    """
    capture = cv2.VideoCapture(str(clip))
    if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_COUNT) < 1:
        sys.exit(f"{clip} is not a video that OpenCV can read")
    interval = 1 / capture.get(cv2.CAP_PROP_FPS)
    due = time.monotonic()
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        is_read, frame = capture.read()
        if not is_read:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        yield frame.astype(np.uint8, copy=False)
        due += interval
        while due + interval < time.monotonic():
            capture.grab()
            due += interval


def draw(frame: Frame, boxes: list[Box]) -> None:
    """Draw what was found into the frame."""
    for x, y, width, height in boxes:
        cv2.rectangle(frame, (x, y), (x + width, y + height), GREEN, 2, cv2.LINE_AA)
    label = f"{len(boxes)} people" if len(boxes) != 1 else "1 person"
    cv2.putText(frame, label, (12, 32), cv2.FONT_HERSHEY_SIMPLEX, 0.9, GREEN, 2, cv2.LINE_AA)


@contextlib.contextmanager
def streaming(urls: list[str] | None) -> Iterator[SpyGlass]:
    """Stream to these addresses; without any to the usual ports, or to free ones."""
    spy = SpyGlass(*(urls or URLS))
    try:
        spy.start_streaming()
    except AddressInUseError:
        if urls:
            raise
        spy = SpyGlass(*FREE_URLS)
        spy.start_streaming()
    try:
        yield spy
    finally:
        spy.stop_streaming()


class Bill:
    """
    Print what being watched costs, on one line that is rewritten in a terminal.

    Args:
        spy: Whose costs.

    """

    def __init__(self, spy: SpyGlass) -> None:
        self._spy = spy
        self._is_terminal = sys.stdout.isatty()
        self._period = 1.0 if self._is_terminal else 5.0
        self._next = time.monotonic() + self._period
        self._last = self._meters(spy.stats())

    def update(self) -> None:
        """Print the line when it is time to; call it as often as you like."""
        if time.monotonic() >= self._next:
            self._next += self._period
            self.print()

    def print(self) -> None:
        """Print the line for the time since the last one."""
        stats = self._spy.stats()
        now = self._meters(stats)
        wall, app, streaming, put = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        line = (
            f"put() {stats.put_ms_p50:.2f} ms (max {stats.put_ms_max:.2f})"
            f" | CPU: app {app / wall:.0%}, streaming {streaming / wall:.1%} of a core"
            f" | {stats.viewers} watching | {stats.fps:.0f} of {put / wall:.0f} fps"
            f" | {stats.replaced + stats.torn + stats.lost} dropped"
        )
        if self._is_terminal:
            # Back to the line's start, and clear what a longer line left behind.
            print(f"\r{line}\x1b[K", end="", flush=True)
        else:
            print(line, flush=True)

    @staticmethod
    def _meters(stats: Stats) -> tuple[float, ...]:
        return time.monotonic(), time.process_time(), stats.streamer_cpu_seconds, stats.put


def main() -> None:
    """Run the application until it is interrupted, or its time is over."""
    parser = argparse.ArgumentParser(description="Find people in a video and let others watch.")
    parser.add_argument("--url", action="append", help="where to stream to; may be given again")
    parser.add_argument("--clip", type=Path, default=CLIP, help="the video (default: car park)")
    parser.add_argument("--seconds", type=float, help="end after so long (default: never)")
    arguments = parser.parse_args()

    # Ended as by Ctrl-C: a handler that sets an event may find its lock taken by a wait for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end = time.monotonic() + (arguments.seconds or float("inf"))
    finder = PeopleFinder()

    with streaming(arguments.url) as spy:
        print("Open in a browser, or in a player:", *spy.urls(), sep="\n  ")
        bill = Bill(spy)
        with contextlib.suppress(KeyboardInterrupt):
            for frame in play(arguments.clip):
                draw(frame, finder.find(frame))
                spy.put(frame)
                bill.update()
                if time.monotonic() >= end:
                    break
        bill.print()


if __name__ == "__main__":
    try:
        main()
    except BackpackError as error:
        sys.exit(f"{type(error).__name__}: {error}")
