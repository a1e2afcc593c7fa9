from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._app.frame import ring_view
from backpack._app.timeline import Stamp
from backpack._ipc.ring import Ring, RingFrame, RingReader, RingWriter
from backpack._worker.snapshot import Snapshots
from tests.pictures import COLOURS, FORMATS, patch, patches
from tests.waiting import open_descriptors, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Reader(RingReader):
    """Note which frames are taken."""

    def __init__(self, seen: list[RingFrame], memory_fd: int, wake_fd: int) -> None:
        super().__init__(memory_fd, wake_fd)
        self._seen = seen

    def take(self) -> RingFrame | None:
        frame = super().take()
        if frame is not None:
            self._seen.append(frame)
        return frame


class Desk:
    """Snapshots with a ring; the test is the intake."""

    def __init__(self) -> None:
        # Frames that were taken from the ring.
        self.seen: list[RingFrame] = []
        self.woken = 0
        self.snapshots = Snapshots(self._wake)
        self.writer: RingWriter | None = None
        self.reader: RingReader | None = None

    def _wake(self) -> None:
        self.woken += 1

    def put(self, frame: Any, wall_ns: int = 1) -> None:
        """Put a frame."""
        if self.writer is None:
            self.writer = RingWriter(Ring(frame.nbytes), ring_view, np.copyto)
            ring = self.writer.ring
            self.reader = _Reader(self.seen, os.dup(ring.memory_fd), os.dup(ring.wake_read_fd))
        channels = 1 if frame.ndim == 2 else frame.shape[2]
        self.writer.write(frame, FORMATS[channels], Stamp(1, wall_ns, 0))

    def ask(self, max_width: int = 4096) -> Future[bytes | None]:
        """Ask for a snapshot."""
        future: Future[bytes | None] = Future()
        self.snapshots.ask(max_width, future.set_result)
        return future

    def take(self, max_width: int = 4096) -> bytes | None:
        """Ask for one, be the intake, and wait for it."""
        future = self.ask(max_width)
        self.snapshots.serve(self.reader)
        return future.result(30)

    def close(self) -> None:
        """End everything."""
        self.snapshots.close()
        if self.reader is not None and self.writer is not None:
            self.reader.close()
            self.writer.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Give a desk, and see that nothing of it stays."""
    made = Desk()
    yield made
    made.close()
    made.snapshots.close()
    assert not threads_named("spyglass-snapshot")


def decode(jpeg: bytes | None, width: int, height: int) -> Any:
    """Decode a JPEG to BGR with ffmpeg."""
    assert jpeg is not None
    done = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "mjpeg",
            "-i",
            "-",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "bgr24",
            "-",
        ],
        input=jpeg,
        capture_output=True,
        check=True,
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_right(desk: Desk, channels: int) -> None:
    """Black is black and white is white: a JPEG has the full range."""
    frame = patches(640, 360)
    if channels == 4:
        frame = np.dstack([frame, np.full((360, 640), 255, np.uint8)])
    desk.put(frame)
    shown = decode(desk.take(), 640, 360)

    for number, colour in enumerate(COLOURS):
        mean = shown[patch(number, 640, 360, inner=True)].mean(axis=(0, 1))
        assert np.abs(mean - colour).max() < 8


def test_gray_frames_are_gray(desk: Desk) -> None:
    """From black to white."""
    frame = np.repeat(np.linspace(0, 255, 320).astype(np.uint8)[None], 240, axis=0)
    desk.put(frame)
    shown = decode(desk.take(), 320, 240).astype(int)

    assert np.abs(shown - frame[..., None]).max() < 10


@pytest.mark.parametrize(
    ("size", "max_width", "expected"),
    [
        ((640, 360), 320, (320, 180)),
        ((640, 360), 9000, (640, 360)),
        ((641, 361), 9000, (640, 360)),
        ((64, 2000), 32, (32, 1000)),
        ((2000, 2), 100, (100, 2)),
    ],
)
def test_it_is_as_wide_as_asked_and_no_wider(
    desk: Desk, size: tuple[int, int], max_width: int, expected: tuple[int, int]
) -> None:
    """The aspect is kept; frames are not enlarged."""
    width, height = size
    desk.put(np.full((height, width, 3), 128, np.uint8))

    assert abs(int(decode(desk.take(max_width), *expected).mean()) - 128) < 4


def test_it_says_when_it_was_captured(desk: Desk) -> None:
    """In a comment right behind the beginning."""
    desk.put(patches(64, 48), wall_ns=1_700_000_000_000_000_001)
    jpeg = desk.take()

    assert jpeg is not None
    assert jpeg.startswith(b"\xff\xd8\xff\xfe")
    assert b"captured_ns=1700000000000000001" in jpeg[:60]


def test_those_who_wait_are_served_together(desk: Desk) -> None:
    """The frame is copied once; each gets the size that it asked for, and one is woken for."""
    desk.put(patches(640, 360))
    futures = [desk.ask(width) for width in (320, 160, 320)]
    desk.snapshots.serve(desk.reader)
    first, small, second = (future.result(30) for future in futures)

    assert first == second
    assert small is not None
    assert first is not None
    assert len(small) < len(first)
    assert len(desk.seen) == 1
    assert desk.woken == 3


def test_of_one_frame_each_size_is_made_once(desk: Desk) -> None:
    """Who asks again gets the same JPEG while the application is silent, and then the new frame."""
    desk.put(patches(640, 360))
    first, small = desk.take(320), desk.take(160)
    assert len(desk.seen) == 2
    assert [desk.take(320), desk.take(160), desk.take(320)] == [first, small, first]
    assert len(desk.seen) == 2

    desk.put(np.zeros((360, 640, 3), np.uint8))

    assert desk.take(320) not in (first, None)
    assert len(desk.seen) == 3


def test_without_a_frame_there_is_none(desk: Desk) -> None:
    """Neither before the first frame nor after the end; nobody waits for ever."""
    assert desk.take() is None
    waiting = desk.ask()
    desk.close()
    assert waiting.result(0) is None
    assert desk.ask().result(0) is None


def test_nothing_runs_unless_it_is_asked(desk: Desk) -> None:
    """No thread before the first snapshot; the intake's turn costs nothing then."""
    desk.put(patches(64, 48))
    desk.snapshots.serve(desk.reader)

    assert not desk.seen
    assert not threads_named("spyglass-snapshot")


def test_a_frame_that_is_overwritten_meanwhile_is_taken_again(desk: Desk) -> None:
    """What mixes two frames is shown to nobody."""
    desk.put(np.zeros((48, 64, 3), np.uint8))
    reader = desk.reader
    assert reader is not None
    is_valid = reader.still_valid

    def overwrite(frame: RingFrame) -> bool:
        if len(desk.seen) < 2:
            # Three times: until the slot that is being read is the one to be written.
            for _ in range(3):
                desk.put(np.full((48, 64, 3), 255, np.uint8))
                reader.release()
        return is_valid(frame)

    reader.still_valid = overwrite  # type: ignore[method-assign]
    assert decode(desk.take(), 64, 48).min() > 240
    assert len(desk.seen) >= 2


def test_many_snapshots_leave_nothing_behind(desk: Desk) -> None:
    """Each pipeline ends with its snapshot."""
    desk.put(patches(64, 48))
    desk.take()
    descriptors, threads = open_descriptors(), threading.active_count()
    for _ in range(20):
        desk.put(patches(64, 48))
        assert desk.take()

    wait_for(lambda: open_descriptors() <= descriptors)
    wait_for(lambda: threading.active_count() <= threads)


def test_whoever_cannot_take_it_harms_nobody(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The others get theirs."""

    def fail(_: bytes | None) -> None:
        raise ValueError("not mine")

    desk.put(patches(64, 48))
    desk.snapshots.ask(4096, fail)
    assert desk.take()
    assert "could not take it" in caplog.text
