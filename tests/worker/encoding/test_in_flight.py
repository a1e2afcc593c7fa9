from __future__ import annotations

from backpack._worker.encoding.in_flight import Inside

MS = 1_000_000


def test_two_more_than_the_encoder_keeps_may_go_in() -> None:
    """One is being encoded, one waits; a third would be latency."""
    inside = Inside(delay_pictures=1)
    for number in range(3):
        assert inside.has_room
        inside.enter(number * MS, now=0)
    assert not inside.has_room

    inside.leave(0)
    assert inside.has_room


def test_a_picture_is_known_by_its_time() -> None:
    """Those before it were dropped by the encoder and never come."""
    inside = Inside(2)
    for ms in (10, 20, 30):
        inside.enter(ms * MS, now=0)
    assert inside.leave(20 * MS + 300) == 20 * MS
    assert inside.oldest_ns == 30 * MS
    assert len(inside) == 1


def test_a_time_that_never_went_in_is_the_oldest() -> None:
    """An encoder that makes up times still puts pictures out in order."""
    inside = Inside(2)
    for ms in (10, 47, 60):
        inside.enter(ms * MS, now=0)
    assert [inside.leave(ms * MS) for ms in (11, 44, 77)] == [10 * MS, 47 * MS, 60 * MS]
    assert inside.leave(110 * MS) == 110 * MS


def test_what_an_encoder_may_keep_is_no_stall() -> None:
    """Only what should have come out counts, from when it went in."""
    inside = Inside(delay_pictures=1)
    assert inside.stalled_for(now=50) == 0
    inside.enter(1 * MS, now=50)
    assert inside.stalled_for(now=60) == 0
    inside.enter(2 * MS, now=58)
    assert inside.stalled_for(now=60) == 10
    inside.leave(1 * MS)
    assert inside.stalled_for(now=60) == 0
    inside.clear()
    assert inside.oldest_ns is None
