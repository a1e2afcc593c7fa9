from __future__ import annotations

import pytest

from backpack._worker.encoding.meter import Meter

MS = 1_000_000
SECOND = 1_000_000_000


def test_one_picture_has_no_rate() -> None:
    """Before the second picture nothing is claimed."""
    meter = Meter()
    assert meter.numbers(0) == {"fps": 0.0, "bitrate_kbps": 0.0}
    meter.count(0, 1000)
    assert meter.numbers(1) == {"fps": 0.0, "bitrate_kbps": 0.0}


@pytest.mark.parametrize("fps", [3, 10, 30, 60])
def test_rate_and_bits_are_those_of_the_last_seconds(fps: int) -> None:
    """Pictures and bits a second, whatever the cadence."""
    meter = Meter()
    for number in range(fps * 10):
        meter.count(number * SECOND // fps, 12_500)
    numbers = meter.numbers(10 * SECOND)

    assert numbers["fps"] == pytest.approx(fps, rel=0.01)
    assert numbers["bitrate_kbps"] == pytest.approx(fps * 100, rel=0.01)


def test_what_is_over_is_forgotten() -> None:
    """After three silent seconds nothing comes out any more."""
    meter = Meter()
    for number in range(30):
        meter.count(number * 33 * MS, 1000)

    assert meter.numbers(SECOND)["fps"] > 29
    assert meter.numbers(10 * SECOND) == {"fps": 0.0, "bitrate_kbps": 0.0}


def test_two_pictures_at_once_do_no_harm() -> None:
    """A rate without a span of time is not divided by zero."""
    meter = Meter()
    meter.count(5, 1)
    meter.count(5, 1)
    assert meter.numbers(5)["fps"] > 0


def test_memory_does_not_grow() -> None:
    """Only the last three seconds are kept."""
    meter = Meter()
    for number in range(10_000):
        meter.count(number * 10 * MS, 1)
    assert len(meter._recent) <= 301


def test_after_the_encoder_has_gone_nothing_is_claimed() -> None:
    """At once, and not only when its last pictures are three seconds old."""
    meter = Meter()
    for number in range(30):
        meter.count(number * 33 * MS, 1000)
    meter.forget()

    assert meter.numbers(SECOND) == {"fps": 0.0, "bitrate_kbps": 0.0}
