from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backpack._app.put_counters import Outcome
from backpack._app.writer import FrameWriter
from backpack._ipc.ring import RingReader
from backpack.errors import FrameError
from tests.app.redaction.redactors import redactor
from tests.apps import frame
from tests.waiting import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MS = 1_000_000
SECOND = 1_000_000_000


class Rig:
    """A frame writer whose clock and whose streaming process are the test's."""

    def __init__(self) -> None:
        self.now_ns = 1000 * SECOND
        self.readers: list[RingReader] = []
        self.frames = FrameWriter(30, redactor())
        self.frames._clock_ns = lambda: self.now_ns
        self.frames._wall_ns = lambda: self.now_ns
        self.frames.open(30, self.attach)
        self.frames.refuse(None)

    def attach(self, fds: Sequence[int]) -> None:
        """Take a new ring, as the streaming process does."""
        memory_fd, wake_fd = (os.dup(fd) for fd in fds)
        self.readers.append(RingReader(memory_fd, wake_fd))

    def put(self, image: np.ndarray | None = None, *, after_ns: int = 0) -> Outcome:
        """Put a frame some time after the last one."""
        self.now_ns += after_ns
        return self.frames.put(frame() if image is None else image, None)

    def close(self) -> None:
        """Close both ends."""
        for reader in self.readers:
            reader.close()
        self.frames.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a writer, and see that its ring goes."""
    before = open_descriptors()
    made = Rig()
    yield made
    made.close()
    made.close()
    assert open_descriptors() <= before


def test_before_it_is_opened_frames_count_as_stopped() -> None:
    """And make no ring."""
    frames = FrameWriter(30, redactor())
    assert frames.put(frame(), None) is Outcome.STOPPED
    assert not frames.has_frame
    assert frames.copy_ring_fds() == []


def test_what_is_refused_is_counted_as_it_was_said(rig: Rig) -> None:
    """Until frames are taken again."""
    rig.frames.refuse(Outcome.AWAY)
    assert rig.put() is Outcome.AWAY
    rig.frames.refuse(None)
    assert rig.put() is Outcome.ACCEPTED
    numbers = rig.frames.numbers()
    assert (numbers["put"], numbers["away"], numbers["accepted"]) == (2, 1, 1)


def test_unwatched_one_frame_a_second_is_written(rig: Rig) -> None:
    """The others are counted as not wanted, on the quick path as on the slow one."""
    outcomes = [rig.put(after_ns=33 * MS) for _ in range(90)]
    assert 3 <= outcomes.count(Outcome.ACCEPTED) <= 4
    assert set(outcomes) == {Outcome.ACCEPTED, Outcome.NOT_WANTED}
    numbers = rig.frames.numbers()
    assert numbers["put"] == 90
    assert numbers["not_wanted"] + numbers["accepted"] == 90


def test_who_comes_gets_the_very_next_frame(rig: Rig) -> None:
    """The quick path looks at the word that the streaming process sets."""
    rig.put()
    assert rig.put(after_ns=MS) is Outcome.NOT_WANTED
    assert rig.put(after_ns=MS) is Outcome.NOT_WANTED
    assert not rig.frames.is_wanted
    rig.readers[0].set_wanted(True)
    assert rig.frames.is_wanted
    assert rig.put(after_ns=MS) is Outcome.ACCEPTED
    rig.frames.forget_reader()
    assert not rig.frames.is_wanted


def test_what_is_no_frame_is_found_out_while_nobody_watches(rig: Rig) -> None:
    """The quick path is for frames like the last one; another one is looked at."""
    rig.put()
    assert rig.put(after_ns=MS) is Outcome.NOT_WANTED
    assert rig.put(after_ns=MS) is Outcome.NOT_WANTED
    for bad in (None, np.zeros((4, 4)), np.zeros((4, 4, 7), np.uint8)):
        with pytest.raises(FrameError):
            rig.frames.put(bad, None)  # type: ignore[arg-type]
    assert rig.put(frame(64, 48), after_ns=MS) is Outcome.NOT_WANTED


def test_a_larger_frame_gets_a_new_ring_with_numbers_that_go_on(rig: Rig) -> None:
    """The reader of the new one sees frame 2, and the old one is given back."""
    rig.put()
    assert rig.put(frame(1000, 1000), after_ns=2 * SECOND) is Outcome.ACCEPTED
    assert [reader.latest_number() for reader in rig.readers] == [1, 2]
    rig.put(after_ns=2 * SECOND)
    assert rig.readers[1].latest_number() == 3


def test_who_is_known_to_wait_gets_every_frame_from_the_first_one(rig: Rig) -> None:
    """Though the streaming process has not yet attached the ring and said so itself."""
    rig.frames.expect_reader(True)  # noqa: FBT003 - the one thing it says
    assert [rig.put(after_ns=33 * MS) for _ in range(3)] == [Outcome.ACCEPTED] * 3
    rig.readers[0].set_wanted(False)
    rig.put(after_ns=33 * MS)
    assert rig.put(after_ns=33 * MS) is Outcome.NOT_WANTED


def test_a_larger_frame_is_wanted_as_those_before_it(rig: Rig) -> None:
    """Until the streaming process has attached the new ring, and at its pace."""
    rig.put()
    rig.readers[0].set_wanted(True, 100 * MS)  # noqa: FBT003 - the one thing it says
    rig.put(after_ns=MS)
    assert rig.put(frame(1000, 1000), after_ns=100 * MS) is Outcome.ACCEPTED
    assert rig.put(frame(1000, 1000), after_ns=33 * MS) is Outcome.NOT_DUE
    assert rig.put(frame(1000, 1000), after_ns=67 * MS) is Outcome.ACCEPTED


def test_who_was_awaited_is_forgotten_with_the_streaming_process(rig: Rig) -> None:
    """The next one says for itself whether it wants frames."""
    rig.frames.expect_reader(True)  # noqa: FBT003 - the one thing it says
    rig.frames.forget_reader()
    rig.put()
    assert rig.put(after_ns=33 * MS) is Outcome.NOT_WANTED


def test_without_memory_the_frame_is_away_and_the_reason_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application goes on; the next frame tries again."""

    def no_memory(_: int) -> None:
        raise MemoryError("none left")

    with monkeypatch.context() as patch:
        patch.setattr("backpack._app.writer.Ring", no_memory)
        assert rig.put() is Outcome.AWAY
        assert "none left" in (rig.frames.error or "")
    assert rig.put(after_ns=2 * SECOND) is Outcome.ACCEPTED
    assert rig.frames.error is None


def test_a_ring_that_cannot_be_handed_on_is_given_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frames would be copied for nobody; the next frame tries again, with the next number."""
    rig.frames.expect_reader(True)  # noqa: FBT003 - the one thing it says

    def fail(_: Sequence[int]) -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(rig.frames, "_attach", fail)
        assert rig.put() is Outcome.AWAY
        assert not rig.frames.has_frame
        assert "too many open files" in (rig.frames.error or "")
    assert rig.put(after_ns=33 * MS) is Outcome.ACCEPTED
    assert rig.frames.error is None


def test_numbers_go_on_after_a_larger_ring_could_not_be_made(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number stands for one frame as long as the stream is open."""

    def no_memory(_: int) -> None:
        raise MemoryError

    rig.put()
    with monkeypatch.context() as patch:
        patch.setattr("backpack._app.writer.Ring", no_memory)
        assert rig.put(frame(1000, 1000), after_ns=2 * SECOND) is Outcome.AWAY
    rig.put(frame(1000, 1000), after_ns=2 * SECOND)
    assert rig.readers[-1].latest_number() == 2


def test_a_new_stream_begins_with_a_frame_at_once(rig: Rig) -> None:
    """Neither the schedule nor the times of the one before hold it up."""
    rig.put()
    assert rig.put(after_ns=MS) is Outcome.NOT_WANTED
    rig.frames.refuse(Outcome.STOPPED)
    rig.frames.close()
    assert rig.put() is Outcome.STOPPED
    rig.frames.open(30, rig.attach)
    rig.frames.refuse(None)
    assert rig.put() is Outcome.ACCEPTED


def test_quiet_puts_of_many_threads_are_all_counted(rig: Rig) -> None:
    """Without a lock, and without losing one."""
    rig.put()
    rig.put(after_ns=MS)
    image = frame()

    def put() -> None:
        for _ in range(5000):
            rig.frames.put(image, None)

    threads = [threading.Thread(target=put) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = rig.frames.numbers()
    assert numbers["put"] == 30_002
    assert numbers["not_wanted"] == 30_001


def test_a_forked_copy_lets_go_though_a_lock_was_held(rig: Rig) -> None:
    """Its memory would live for as long as the fork does."""
    rig.put()
    rig.frames._lock.acquire()
    rig.frames.become_forked_copy()
    assert not rig.frames.has_frame
