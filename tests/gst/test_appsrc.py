from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backpack._gst.appsrc import AppsrcFeed, levels, push, use_monotonic_clock
from backpack._gst.gi import Gst
from backpack._media.access_unit import AccessUnit

if TYPE_CHECKING:
    from collections.abc import Iterator


def unit(number: int, *, key: bool = False, size: int = 10) -> AccessUnit:
    """Make an access unit."""
    return AccessUnit(bytes(size), key, number * 1000, 0, number)


@pytest.fixture
def source() -> Iterator[Gst.Element]:
    """Give an appsrc that keeps what it gets, since nothing takes it."""
    made = Gst.ElementFactory.make("appsrc")
    made.set_property("max-bytes", 0)
    made.set_state(Gst.State.PAUSED)
    yield made
    made.set_state(Gst.State.NULL)


def test_units_wait_in_the_appsrc_with_their_capture_times(source: Gst.Element) -> None:
    """And are counted there; only key frames are no delta units."""
    pipeline = Gst.parse_launch("appsrc name=source format=time ! appsink name=sink sync=false")
    use_monotonic_clock(pipeline)
    pipeline.set_state(Gst.State.PLAYING)
    push(pipeline.get_by_name("source"), unit(1, key=True))
    push(pipeline.get_by_name("source"), unit(2), b"other")
    buffers = [pipeline.get_by_name("sink").emit("pull-sample").get_buffer() for _ in range(2)]
    pipeline.set_state(Gst.State.NULL)

    assert [(one.pts, one.get_size()) for one in buffers] == [(1000, 10), (2000, 5)]
    assert [one.has_flags(Gst.BufferFlags.DELTA_UNIT) for one in buffers] == [False, True]
    assert pipeline.get_base_time() == 0

    assert levels(source) == (0, 0)
    push(source, unit(1))
    push(source, unit(2))
    # Its thread may have one of them in its hands.
    units, size = levels(source)
    assert units in (1, 2)
    assert size == units * 10


def test_a_full_one_goes_on_at_a_key_frame_that_is_asked_for() -> None:
    """Once half of what waited has gone."""
    asked: list[int] = []
    feed = AppsrcFeed(4, 1000, lambda: asked.append(1))
    assert feed.admit(unit(1), (3, 30))
    assert not feed.admit(unit(2), (4, 40))
    assert not feed.admit(unit(3), (3, 30))
    assert not asked
    assert not feed.admit(unit(4), (2, 20))
    assert asked
    assert feed.skipping
    assert feed.admit(unit(5, key=True), (2, 20))
    assert not feed.skipping
    assert feed.lost == 3


def test_what_waits_too_long_counts_as_full() -> None:
    """However little it is; an empty one is never full."""
    feed = AppsrcFeed(4, 1000, lambda: None)
    assert not feed.admit(unit(1), (1, 10), is_late=True)
    assert feed.admit(unit(2, key=True), (0, 0))
