from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from backpack._worker.encoding.bitrate import RateTracker, SpendingTracker, default_bitrate_kbps

if TYPE_CHECKING:
    from collections.abc import Iterable

SECOND = 1_000_000_000


def told_after(tracker: RateTracker, intervals: Iterable[float], begin: float = 100) -> float:
    """Show a tracker pictures so many seconds apart, and give what the encoder then believes."""
    now = begin
    tracker.observe(round(now * SECOND))
    for interval in intervals:
        now += interval
        tracker.observe(round(now * SECOND))
    return tracker.told_fps


def test_720p_at_30_gets_2500() -> None:
    """The reference of the scale."""
    assert default_bitrate_kbps(1280, 720, 30) == 2500
    assert default_bitrate_kbps(1280, 720, None) == 2500


def test_more_pixels_and_pictures_get_more_bits_but_not_in_proportion() -> None:
    """1080p30 gets less than 2.25 times 720p30, 60 a second less than twice 30."""
    assert 4000 < default_bitrate_kbps(1920, 1080, 30) < 2.25 * 2500
    assert 3000 < default_bitrate_kbps(1280, 720, 60) < 2 * 2500
    assert 2500 / 3 < default_bitrate_kbps(1280, 720, 10) < 2500


def test_the_chosen_bit_rate_has_ends() -> None:
    """A tiny stream still gets enough to show something, a huge one not everything."""
    assert default_bitrate_kbps(16, 16, 1) == 150
    assert default_bitrate_kbps(8192, 8192, 240) == 25_000


@pytest.mark.parametrize("told", [3.0, 10.0, 30.0, 60.0])
@pytest.mark.parametrize("true", [3, 10, 30, 60])
def test_any_rate_is_found(told: float, true: int) -> None:
    """After four seconds what is told is within a tenth of the truth."""
    found = told_after(RateTracker(told), [1 / true] * (4 * true))
    assert 1 / 1.11 < found / true < 1.11


def test_a_rate_that_is_near_enough_is_left_alone() -> None:
    """29.97 is 30, and jitter changes nothing."""
    tracker = RateTracker(30)
    assert told_after(tracker, [1001 / 30000] * 200) == 30
    jitter = itertools.cycle([0.02, 0.045, 0.03, 0.04])
    assert told_after(tracker, itertools.islice(jitter, 200), begin=200) == 30


def test_a_pause_is_no_slow_rate() -> None:
    """An app that waits for something once is still a fast one; twice in a row it is slow."""
    tracker = RateTracker(30)
    assert told_after(tracker, [1 / 30] * 40 + [7.0] + [1 / 30] * 5) == 30
    assert told_after(tracker, [7.0, 7.0, 7.0], begin=300) < 2


def test_a_change_of_rate_is_followed() -> None:
    """Within four seconds of the new rate."""
    assert told_after(RateTracker(30), [1 / 30] * 60 + [1 / 5] * 20) == pytest.approx(5, rel=0.11)


def test_no_picture_gets_the_bits_of_many_seconds() -> None:
    """Below one picture a second nothing more is told."""
    assert told_after(RateTracker(30), [20.0] * 10) == 1.0


def test_time_that_stands_still_is_left_out() -> None:
    """Two pictures of the same time tell nothing of a rate."""
    tracker = RateTracker(30)
    assert told_after(tracker, [0.0, -1.0, 0.0]) == 30


def spend(tracker: SpendingTracker, kbps: float, seconds: int, asked: float = 1000) -> float:
    """Let pictures come out at ten a second, asking for corrections, and give the factor."""
    for number in range(seconds * 10):
        tracker.observe((100 + number) * SECOND // 10, round(kbps * 1000 / 8 / 10))
        tracker.correct(asked)
    return tracker.factor


def test_too_few_bits_are_asked_up_and_too_many_down() -> None:
    """A bias of the encoder is corrected, but by a fifth at the most."""
    assert 1.05 < spend(SpendingTracker(), 850, 10) <= 1.2
    assert 0.8 <= spend(SpendingTracker(), 1200, 10) < 0.95
    assert spend(SpendingTracker(), 600, 10) == 1.2
    assert spend(SpendingTracker(), 1000, 10) == pytest.approx(1.0, abs=0.02)


def test_a_still_picture_saves_nothing_up() -> None:
    """Who has nothing to spend on gets no more to spend later."""
    assert spend(SpendingTracker(), 100, 20) == 1.0
