from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from backpack._app.timeline import Stamp, Timeline, captured_at
from backpack.errors import FrameError

SECOND = 1_000_000_000
MS = 1_000_000
WALL = 1_700_000_000 * SECOND
MONO = 5_000 * SECOND


def stamp(timeline: Timeline, after_ns: int, captured_ns: int | None = None) -> Stamp | None:
    """Stamp a frame that is put so long after the start, with clocks that agree."""
    return timeline.stamp(MONO + after_ns, WALL + after_ns, captured_ns)


def taken(stamp: Stamp | None) -> Stamp:
    """Give a stamp that must be there."""
    assert stamp is not None
    return stamp


def test_a_frame_without_timestamp_is_captured_now() -> None:
    """Order comes from the monotonic clock, the date from the wall clock."""
    assert stamp(Timeline(), 7 * MS) == Stamp(MONO + 7 * MS, WALL + 7 * MS, 0)


def test_times_are_whole_microseconds_and_only_grow() -> None:
    """Whatever comes, times are multiples of 1 µs, strictly increasing."""
    chance = random.Random(4)
    timeline, now_ns, last_ns = Timeline(), 0, -1
    for _ in range(5000):
        now_ns += chance.randrange(0, 40 * MS)
        wall_ns = WALL + now_ns + chance.choice([0, 0, 0, 3600 * SECOND, -900 * SECOND])
        captured_ns = chance.choice(
            [None, wall_ns - chance.randrange(0, SECOND), WALL - chance.randrange(0, 9) * SECOND]
        )
        found = timeline.stamp(MONO + now_ns, wall_ns, captured_ns)
        if found is not None:
            assert found.mono_ns % 1000 == 0
            assert found.mono_ns > last_ns
            last_ns = found.mono_ns


def test_a_small_drift_of_the_clocks_changes_nothing() -> None:
    """Clocks that drift apart by less than half a second keep their anchor."""
    timeline = Timeline()
    stamp(timeline, 0)
    later = taken(timeline.stamp(MONO + SECOND, WALL + SECOND + 499 * MS, None))

    assert (later.wall_ns, later.epoch) == (WALL + SECOND, 0)


@pytest.mark.parametrize("step_s", [3600, -3600, 0.6, -0.6])
def test_a_step_of_the_wall_clock_takes_a_new_anchor(step_s: float) -> None:
    """A step begins a new epoch; spacing stays that of the monotonic clock."""
    step_ns = round(step_s * SECOND)
    timeline = Timeline()
    before = taken(stamp(timeline, 0))
    after = taken(timeline.stamp(MONO + 40 * MS, WALL + 40 * MS + step_ns, None))
    further = taken(timeline.stamp(MONO + 80 * MS, WALL + 80 * MS + step_ns, None))

    assert after.mono_ns - before.mono_ns == 40 * MS
    assert after.wall_ns == WALL + 40 * MS + step_ns
    assert (after.epoch, further.epoch) == (1, 1)


def test_a_timestamp_is_the_time_of_capture() -> None:
    """A frame that waited in the application carries the time when it was captured."""
    found = taken(stamp(Timeline(), SECOND, WALL + SECOND - 200 * MS))

    assert found == Stamp(MONO + 800 * MS, WALL + 800 * MS, 0)


def test_a_frame_that_is_not_newer_is_refused() -> None:
    """The same timestamp, or an older one, gives no stamp."""
    timeline = Timeline()
    taken(stamp(timeline, SECOND, WALL + SECOND))

    assert stamp(timeline, SECOND + 40 * MS, WALL + SECOND) is None
    assert stamp(timeline, SECOND + 80 * MS, WALL + SECOND - 1) is None
    assert stamp(timeline, SECOND + 90 * MS, WALL + SECOND + 1000) is not None


def test_a_recording_keeps_its_own_spacing() -> None:
    """Timestamps of long ago order and space the frames, from now on."""
    chance = random.Random(1)
    timeline, old_ns = Timeline(), WALL - 86_400 * SECOND
    stamps = []
    for number in range(300):
        jitter_ns = chance.randrange(0, 8 * MS)
        put_ns = number * 40 * MS + jitter_ns
        stamps.append(taken(stamp(timeline, put_ns, old_ns + number * 40 * MS)))

    assert stamps[0].wall_ns == old_ns
    steps = [b.mono_ns - a.mono_ns for a, b in zip(stamps[-100:], stamps[-99:], strict=False)]
    assert all(abs(step - 40 * MS) <= MS for step in steps)


def test_a_recording_played_too_fast_still_moves() -> None:
    """Played at twice its speed, no frame is refused and none is ahead of the clock."""
    timeline, old_ns = Timeline(), WALL - 86_400 * SECOND
    for number in range(3000):
        put_ns = number * 20 * MS
        assert taken(stamp(timeline, put_ns, old_ns + number * 40 * MS)).mono_ns <= MONO + put_ns


def test_a_recording_played_too_slowly_does_not_fall_behind() -> None:
    """Played at half its speed, no frame is more than a second behind the clock."""
    timeline, old_ns = Timeline(), WALL - 86_400 * SECOND
    for number in range(300):
        put_ns = number * 80 * MS
        found = taken(stamp(timeline, put_ns, old_ns + number * 40 * MS))
        assert MONO + put_ns - found.mono_ns <= SECOND


def test_a_recording_may_begin_again() -> None:
    """A recording that is played in a loop goes on at once."""
    timeline, old_ns = Timeline(), WALL - 86_400 * SECOND
    for number in range(1000):
        place_ns = old_ns + number % 100 * 40 * MS
        assert stamp(timeline, number * 40 * MS, place_ns) is not None


@pytest.mark.parametrize(
    ("timestamp", "nanoseconds"),
    [
        (1.5, 1_500 * MS),
        (2, 2 * SECOND),
        ((3, 250_000), 3_250 * MS),
        ([3, 250_000], 3_250 * MS),
        (np.float64(1.5), 1_500 * MS),
        (np.int64(2), 2 * SECOND),
        (0, 0),
    ],
)
def test_a_timestamp_is_seconds_or_seconds_and_microseconds(
    timestamp: Any, nanoseconds: int
) -> None:
    """Floats, whole numbers and Panorama's pairs are taken, numpy's numbers too."""
    assert captured_at(timestamp, WALL) == nanoseconds


@pytest.mark.parametrize(
    "timestamp",
    [
        math.nan,
        math.inf,
        -math.inf,
        -1.0,
        (-1, 0),
        True,
        "1700000000",
        b"17",
        (1,),
        (1, 2, 3),
        (1, None),
        [],
        {},
        object(),
        (math.nan, 0),
    ],
)
def test_what_is_no_time_is_refused(timestamp: Any) -> None:
    """The error shows what was given, and what a timestamp is."""
    with pytest.raises(FrameError, match=r"timestamp=|1970"):
        captured_at(timestamp, WALL)


def test_a_timestamp_may_be_ten_seconds_ahead_and_no_more() -> None:
    """A clock a little ahead is weather; far ahead is a mistake, and the error says how far."""
    now = WALL // SECOND
    assert captured_at(now + 10, WALL) == WALL + 10 * SECOND

    with pytest.raises(FrameError, match=r"11\.0 s in the future"):
        captured_at(now + 11, WALL)
