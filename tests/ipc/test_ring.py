from __future__ import annotations

import contextlib
import ctypes
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._app.frame import ring_view
from backpack._app.timeline import Stamp
from backpack._ipc.ring import SLOTS, Ring, RingFrame, RingReader, RingWriter
from backpack._ipc.settings import PixelFormat
from tests.waiting import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMP = Stamp(1000, 2000, 3)


class Pair:
    """A ring with both its ends in this process."""

    def __init__(self, slot_bytes: int = 1 << 16) -> None:
        self.ring = Ring(slot_bytes)
        self.writer = RingWriter(self.ring, ring_view, np.copyto)
        self.reader = RingReader(os.dup(self.ring.memory_fd), os.dup(self.ring.wake_read_fd))

    def put(self, frame: Any, pixel_format: PixelFormat = PixelFormat.BGR) -> int:
        """Write a frame."""
        return self.writer.write(frame, pixel_format, STAMP)

    def close(self) -> None:
        """Close both ends."""
        self.reader.close()
        self.writer.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Give a ring, and see that nothing of it stays."""
    before = open_descriptors()
    made = Pair()
    yield made
    made.close()
    assert open_descriptors() <= before


def taken(reader: RingReader) -> RingFrame:
    """Take a frame that must be there."""
    frame = reader.take()
    assert frame is not None
    return frame


def pixels(frame: RingFrame) -> np.ndarray:
    """Copy a frame's pixels out of the ring."""
    data = ctypes.string_at(frame.address, frame.stride * frame.height)
    return np.frombuffer(data, np.uint8).reshape(frame.height, frame.width, -1)


def gray(value: int, shape: tuple[int, int] = (8, 8)) -> np.ndarray:
    """Make a frame of one colour."""
    return np.full((*shape, 3), value, np.uint8)


def test_a_frame_comes_out_as_it_went_in(pair: Pair) -> None:
    """Pixels, size, kind and times arrive."""
    frame = np.random.default_rng(1).integers(0, 256, (37, 41, 3), np.uint8)
    pair.put(frame)
    found = taken(pair.reader)

    assert (found.width, found.height, found.stride) == (41, 37, 123)
    assert (found.number, found.mono_ns, found.wall_ns, found.epoch) == (1, *STAMP)
    assert found.pixel_format is PixelFormat.BGR
    assert np.array_equal(pixels(found), frame)
    assert pair.reader.still_valid(found)


@pytest.mark.parametrize(
    ("shape", "pixel_format"),
    [((5, 7), PixelFormat.GRAY), ((5, 7, 4), PixelFormat.BGRA), ((1, 1, 3), PixelFormat.BGR)],
)
def test_every_kind_of_frame_fits(
    pair: Pair, shape: tuple[int, ...], pixel_format: PixelFormat
) -> None:
    """Gray, BGRA and a single pixel come out right."""
    frame = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    pair.put(frame, pixel_format)
    found = taken(pair.reader)

    assert found.pixel_format is pixel_format
    assert np.array_equal(pixels(found), frame.reshape(shape[0], shape[1], -1))


def test_strides_do_not_matter(pair: Pair) -> None:
    """Parts, reversed rows and columns, broadcast and read-only arrays are copied right."""
    base = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    base.flags.writeable = False
    frames = [
        base[::2, ::3],
        base[::-1],
        base[:, ::-1],
        base[..., ::-1],
        base.transpose(1, 0, 2),
        np.broadcast_to(base[:1, :1], (10, 10, 3)),
        np.asfortranarray(base),
    ]
    for frame in frames:
        pair.put(frame)
        assert np.array_equal(pixels(taken(pair.reader)), frame)


def test_the_newest_frame_wins(pair: Pair) -> None:
    """A reader that was away gets the last frame, and its number tells what it missed."""
    for value in range(10):
        pair.put(gray(value))
    found = taken(pair.reader)

    assert found.number == pair.reader.latest_number() == 10
    assert pixels(found)[0, 0, 0] == 9


def test_there_is_nothing_before_the_first_frame(pair: Pair) -> None:
    """An empty ring gives no frame."""
    assert pair.reader.take() is None
    assert pair.reader.latest_number() == 0


def test_the_frame_that_is_read_is_left_alone(pair: Pair) -> None:
    """While a frame is being read the writer goes round it."""
    pair.put(gray(1))
    found = taken(pair.reader)
    for value in range(2, 50):
        pair.put(gray(value))

    assert pair.reader.still_valid(found)
    assert (pixels(found) == 1).all()


def test_a_frame_that_was_overwritten_is_not_valid(pair: Pair) -> None:
    """Once the reader's hint has gone, the sequence tells it that the slot was used again."""
    pair.put(gray(1))
    found = taken(pair.reader)
    pair.reader.release()
    for value in range(2, 2 + SLOTS):
        pair.put(gray(value))

    assert not pair.reader.still_valid(found)


def test_a_frame_that_is_being_written_is_not_valid(pair: Pair) -> None:
    """A reader that looks in the middle of a copy sees that."""
    pair.put(gray(1))
    found = taken(pair.reader)
    pair.reader.release()
    seen = []

    def copy(target: Any, source: Any) -> None:
        np.copyto(target, source)
        seen.append((pair.reader.still_valid(found), taken(pair.reader).number))
        pair.reader.release()

    pair.writer._copy = copy
    for value in range(2, 2 + SLOTS):
        pair.put(gray(value))

    # The second frame after it goes into its slot's neighbour, the third into its own.
    assert seen[-1][0] is False
    assert [number for _, number in seen] == [1, 2, 3]


def test_an_interrupted_copy_spoils_no_slot(pair: Pair) -> None:
    """A Ctrl-C in the middle of a copy costs that frame, and no later one."""

    def interrupted(_target: Any, _source: Any) -> None:
        raise KeyboardInterrupt

    pair.put(gray(1))
    for _ in range(2 * SLOTS):
        pair.writer._copy = interrupted
        with pytest.raises(KeyboardInterrupt):
            pair.put(gray(99))
        assert pixels(taken(pair.reader))[0, 0, 0] != 99
        pair.reader.release()
        pair.writer._copy = np.copyto
        number = pair.put(gray(7))
        found = taken(pair.reader)
        assert found.number == number
        assert pair.reader.still_valid(found)
        pair.reader.release()


def test_a_record_that_cannot_be_is_not_believed(pair: Pair) -> None:
    """A size beyond the slot is never read."""
    pair.put(gray(1))
    words = pair.ring.words
    words[32 + 1 * 16 + 5] = 1 << 40

    assert pair.reader.take() is None


def test_a_put_wakes_the_reader(pair: Pair) -> None:
    """The pipe is readable after a frame, empty after it was drained, and never fills up."""
    pair.reader.drain_wake()
    assert not select.select([pair.reader.wake_fd], [], [], 0)[0]
    for _ in range(70_000):
        pair.put(gray(1, (1, 1)))

    assert select.select([pair.reader.wake_fd], [], [], 0)[0]
    pair.reader.drain_wake()
    assert not select.select([pair.reader.wake_fd], [], [], 0)[0]
    assert taken(pair.reader).number == 70_000


def test_the_reader_says_what_it_wants(pair: Pair) -> None:
    """Whether frames are wanted, and how far apart, is seen by the writer at once."""
    assert not pair.writer.wanted
    pair.reader.set_wanted(True, 5_000_000)  # noqa: FBT003 - the one thing it says
    assert pair.writer.wanted
    assert pair.writer.least_interval_ns == 5_000_000


def test_what_a_reader_said_goes_with_it(pair: Pair) -> None:
    """A reader takes its wish back when it closes; one that was killed is forgotten."""
    pair.reader.set_wanted(True, 7)  # noqa: FBT003 - the one thing it says
    pair.writer.forget_reader()
    assert not pair.writer.wanted
    assert pair.writer.least_interval_ns == 0

    pair.reader.set_wanted(True, 7)  # noqa: FBT003 - the one thing it says
    pair.reader.close()
    pair.reader.close()
    assert not pair.writer.wanted


def test_a_reader_that_is_on_its_way_is_believed_until_it_speaks(pair: Pair) -> None:
    """The writer of a new ring may begin with what the last reader said."""
    pair.writer.expect_reader(True, 7)  # noqa: FBT003 - as the reader says it
    assert pair.writer.wanted
    assert pair.writer.least_interval_ns == 7
    pair.reader.set_wanted(False)
    assert not pair.writer.wanted


def test_the_last_frame_outlives_its_reader(pair: Pair) -> None:
    """The next streaming process finds the last frame in the ring."""
    pair.put(gray(5))
    pair.reader.close()
    pair.reader = RingReader(os.dup(pair.ring.memory_fd), os.dup(pair.ring.wake_read_fd))

    assert pixels(taken(pair.reader))[0, 0, 0] == 5


def test_memory_that_holds_no_ring_is_refused() -> None:
    """A reader of another version's memory says so, and closes what it was given."""
    before = open_descriptors()
    memory = os.memfd_create("other")
    os.truncate(memory, 1 << 16)

    with pytest.raises(ValueError, match="no ring"):
        RingReader(memory, os.open(os.devnull, os.O_RDONLY))
    assert open_descriptors() <= before


def test_the_memory_has_no_name(pair: Pair) -> None:
    """The ring is a memfd: `/dev/shm` and its limit in containers are not involved."""
    assert "memfd:" in str(Path(f"/proc/self/fd/{pair.ring.memory_fd}").readlink())


@pytest.mark.parametrize("size", [0, 1 << 30])
def test_whoever_else_has_the_memory_cannot_change_its_size(pair: Pair, size: int) -> None:
    """A file that was cut off would end the application with SIGBUS in its next `put`."""
    before = os.fstat(pair.reader._memory_fd).st_size
    with contextlib.suppress(PermissionError):
        os.truncate(pair.reader._memory_fd, size)
        # Else this test ends with SIGBUS as well.
        os.truncate(pair.reader._memory_fd, before)
        pytest.fail("The size was changed.")
    assert pair.put(np.zeros((4, 4, 3), np.uint8)) == 1


class Stress:
    """A writer in another process, and what the reader here made of its frames."""

    def __init__(self, seconds: float, seed: int = 1) -> None:
        self.accepted = self.torn = self.wrong = self.backward = 0
        self._last = 0
        ring = Ring(320 * 250 * 3)
        reader = RingReader(os.dup(ring.memory_fd), os.dup(ring.wake_read_fd))
        wake_fd = os.dup(ring.wake_write_fd)
        command = [sys.executable, str(Path(__file__).with_name("ring_writer.py"))]
        try:
            with subprocess.Popen(
                [*command, *map(str, (ring.memory_fd, wake_fd, ring.slot_bytes))],
                pass_fds=(ring.memory_fd, wake_fd),
                stdin=subprocess.PIPE,
            ) as writer:
                self._run(reader, writer, seconds, random.Random(seed))
                assert writer.stdin is not None
                writer.stdin.close()
                assert writer.wait(30) == 0
        finally:
            reader.close()
            os.close(wake_fd)
            ring.close()

    def _run(
        self, reader: RingReader, writer: subprocess.Popen[bytes], seconds: float, chance: Any
    ) -> None:
        assert select.select([reader.wake_fd], [], [], 30)[0]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            frame = reader.take()
            if frame is None:
                continue
            # The hint spares the reader most of this; without it every slot is fought over.
            if chance.random() < 0.7:
                reader.release()
            if chance.random() < 0.02:
                self._stop_somebody(writer, chance)
            found = ctypes.string_at(frame.address, frame.stride * frame.height)
            if not reader.still_valid(frame):
                self.torn += 1
                continue
            self._judge(frame, np.frombuffer(found, np.uint32))

    def _stop_somebody(self, writer: subprocess.Popen[bytes], chance: Any) -> None:
        """Stop the writer in the middle of whatever it does, or stop reading for a while."""
        pause = chance.random() * 0.003
        if chance.random() < 0.5:
            writer.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            writer.send_signal(signal.SIGCONT)
        else:
            # A reader that is stopped between taking and reading.
            time.sleep(pause)

    def _judge(self, frame: RingFrame, numbers: np.ndarray) -> None:
        self.accepted += 1
        times_fit = (frame.mono_ns, frame.wall_ns) == (frame.number * 1000, frame.number * 2000)
        if not times_fit or not (numbers == frame.number % (1 << 32)).all():
            self.wrong += 1
        self.backward += frame.number < self._last
        self._last = frame.number


def test_no_torn_frame_is_ever_accepted() -> None:
    """Two processes at full speed, stopped at any moment: every frame that counts is whole."""
    result = Stress(6)

    assert result.accepted > 50
    assert result.torn > 0, "the two sides never met: nothing was tested"
    assert result.wrong == 0
    assert result.backward == 0


def test_the_stress_test_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reader's second look taken away, torn frames are found: the test above can fail."""
    monkeypatch.setattr(RingReader, "still_valid", lambda *_: True)

    assert Stress(3).wrong > 0
