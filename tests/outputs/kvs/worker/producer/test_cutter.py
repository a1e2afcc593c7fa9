from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from backpack._outputs.kvs.worker.producer.cutter import FragmentCutter
from backpack._outputs.kvs.worker.producer.fragments import FragmentQueue
from backpack.errors import SettingsError
from tests.outputs.kvs.worker.producer.video import START_WALL_NS, unit

HOUR_NS = 3_600_000_000_000


def lengths(queue: FragmentQueue) -> list[int]:
    """Count the frames of each fragment."""
    return [len(fragment.blocks) for fragment in queue]


def times(queue: FragmentQueue) -> list[int]:
    """Give the time of each frame, in milliseconds since the first picture's date."""
    return [
        fragment.timecode_ms + int.from_bytes(block[10:12], "big") - START_WALL_NS // 1_000_000
        for fragment in queue
        for block in fragment.blocks
    ]


def made(**options: Any) -> tuple[FragmentQueue, FragmentCutter]:
    """Make a cutter with its queue."""
    queue = FragmentQueue()
    return queue, FragmentCutter(queue, **options)


@pytest.mark.parametrize(("seconds", "each"), [(1, 10), (1.5, 20), (2, 20), (3, 30)])
def test_a_cluster_begins_at_the_first_key_frame_that_is_far_enough(
    seconds: float, each: int
) -> None:
    """Key frames come each second here; other outputs cause them."""
    queue, cutter = made(fragment_seconds=seconds)
    for number in range(1, 61):
        assert cutter.take(unit(number))

    assert lengths(queue) == [each] * (60 // each)
    assert times(queue) == [number * 100 for number in range(60)]


def test_a_key_frame_is_wanted_when_a_fragment_is_long_enough() -> None:
    """At the beginning, when it is due, and after a pause; not in between."""
    _, cutter = made(fragment_seconds=2)
    wanted = [cutter.wants_key]
    for number in range(1, 22):
        cutter.take(unit(number, key=number == 1))
        wanted.append(cutter.wants_key)

    assert wanted == [True] + [False] * 20 + [True]
    cutter.take(unit(31))
    assert not cutter.wants_key
    cutter.finish()
    assert cutter.wants_key


def test_frames_that_cannot_be_decoded_are_counted() -> None:
    """Before the first key frame, and after a pause until the next one."""
    queue, cutter = made()
    assert not cutter.take(unit(2))
    assert cutter.take(unit(11))
    cutter.finish()
    assert not cutter.take(unit(12))
    assert cutter.take(unit(21))

    assert (lengths(queue), cutter.frames_lost) == ([1, 1], 2)


def test_repeats_are_not_recorded() -> None:
    """What was made for viewers while the application was silent goes nowhere, and is no loss."""
    queue, cutter = made()

    assert not cutter.take(unit(1, repeat=True))
    assert (len(queue), cutter.frames_lost) == (0, 0)


def test_two_frames_in_a_millisecond_get_two_times() -> None:
    """Time grows from frame to frame."""
    queue, cutter = made()
    for number, seconds in enumerate([0, 0.0001, 0.0002, 0.0102], start=1):
        cutter.take(unit(number, seconds=seconds))

    assert times(queue) == [0, 1, 2, 10]


def test_another_picture_size_begins_another_fragment() -> None:
    """The header belongs to a connection; the session sees by the track that it has to end."""
    queue, cutter = made()
    cutter.take(unit(1))
    data = unit(11).data.replace(b"\0\0\0\1\x68", b"\0\0\0\1\x68\xfe", 1)
    cutter.take(dataclasses.replace(unit(5), data=data, key=True))
    first, second = queue

    assert first.track != second.track
    assert first.timeline == second.timeline


def test_a_step_of_the_clock_moves_what_was_not_sent() -> None:
    """The new timeline holds what waits, at its true time, and what follows."""
    queue, cutter = made()
    for number in range(1, 41):
        cutter.take(unit(number))
    sent = next(iter(queue))
    sent.sent = True
    for number in range(41, 61):
        cutter.take(unit(number, wall_ns=START_WALL_NS - HOUR_NS, epoch=1))

    assert [fragment.timeline for fragment in queue] == [0, 1, 1]
    hour = HOUR_NS // 1_000_000
    assert times(queue) == [number * 100 - (0 if number < 20 else hour) for number in range(60)]


def test_a_step_of_the_clock_ends_a_fragment_that_is_being_sent() -> None:
    """What was sent in part keeps its time."""
    queue, cutter = made()
    for number in range(1, 11):
        cutter.take(unit(number))
    next(iter(queue)).sent = True
    cutter.take(unit(11, wall_ns=START_WALL_NS - HOUR_NS, epoch=1))

    assert [fragment.timeline for fragment in queue] == [0, 1]
    assert lengths(queue) == [10, 1]
    assert times(queue)[-1] == 1000 - HOUR_NS // 1_000_000


def test_a_small_step_changes_no_order() -> None:
    """A step that puts the next frame upon the last one leaves time growing."""
    queue, cutter = made()
    for number in range(1, 21):
        cutter.take(unit(number))
    cutter.take(unit(21, wall_ns=START_WALL_NS + 600_000_000, epoch=1))

    assert [fragment.timeline for fragment in queue] == [1, 1]
    assert times(queue) == [number * 100 + 600 for number in range(21)]


def test_a_recording_that_begins_anew_begins_a_timeline() -> None:
    """Its dates lie in the past again: nothing is moved, and time does not run backward."""
    queue, cutter = made()
    for number in range(1, 21):
        cutter.take(unit(number))
    back = START_WALL_NS - 2_000_000_000
    for number in range(21, 41):
        cutter.take(unit(number, wall_ns=back))

    assert [fragment.timeline for fragment in queue] == [0, 1]
    assert times(queue) == [number * 100 for number in range(20)] * 2


def test_dates_that_move_between_key_frames_wait_for_the_next() -> None:
    """A fragment has one beginning to count from."""
    queue, cutter = made(fragment_seconds=1)
    for number in range(1, 6):
        cutter.take(unit(number))
    for number in range(6, 21):
        cutter.take(unit(number, wall_ns=START_WALL_NS + HOUR_NS))

    assert lengths(queue) == [10, 10]
    assert times(queue)[:10] == [number * 100 for number in range(10)]
    assert times(queue)[10] == 1000 + HOUR_NS // 1_000_000
    assert [fragment.timeline for fragment in queue] == [0, 0]


def test_a_fragment_without_an_end_is_closed() -> None:
    """KVS would refuse all of it; so the frames after ten seconds are lost, and no more."""
    queue, cutter = made()
    cutter.take(unit(1))
    assert cutter.take(unit(2, seconds=10))
    assert not cutter.take(unit(3, seconds=10.1))
    assert not cutter.take(unit(4, seconds=10.2))
    assert cutter.take(unit(11, seconds=10.3))

    assert lengths(queue) == [2, 1]
    assert cutter.frames_lost == 2


def test_shorter_fragments_on_demand() -> None:
    """KVS says that they are too long: they are halved, down to a second."""
    queue, cutter = made(fragment_seconds=3)
    cutter.shorten()
    cutter.shorten()
    for number in range(1, 31):
        cutter.take(unit(number))

    assert lengths(queue) == [10, 10, 10]


def test_metadata_goes_with_the_fragments_from_the_next_on() -> None:
    """It may change; KVS may refuse it for good."""
    queue, cutter = made(fragment_seconds=1)
    cutter.take(unit(1))
    cutter.set_metadata({"door": "open"})
    cutter.take(unit(11))
    assert [b"door" in fragment.head() for fragment in queue] == [False, True]

    cutter.refuse_metadata()
    cutter.set_metadata({"door": "open"})
    cutter.take(unit(21))
    assert not any(b"door" in fragment.head() for fragment in queue)


@pytest.mark.parametrize("seconds", [0, 0.9, 8.1, float("nan")])
def test_fragments_that_kvs_refuses_are_not_made(seconds: float) -> None:
    """A length out of bounds is an error at once."""
    with pytest.raises(SettingsError, match="fragment_seconds"):
        FragmentCutter(FragmentQueue(), fragment_seconds=seconds)


def test_a_broken_key_frame_ends_nothing() -> None:
    """It joins the fragment that is open, and is lost where none is."""
    queue, cutter = made()
    data = b"\0\0\0\1\x67\x42\0\0\0\1\x68\xce\0\0\0\1\x65\x88"
    broken = dataclasses.replace(unit(1), data=data)

    assert not cutter.take(broken)
    assert (len(queue), cutter.frames_lost) == (0, 1)
