from __future__ import annotations

import pytest

from backpack._app.put_counters import Outcome, PutCounters
from backpack.stats import Stats

MS = 1_000_000


def test_every_outcome_is_counted_under_its_name() -> None:
    """The counters say what became of each frame."""
    counters = PutCounters()
    counted = [outcome for outcome in Outcome if outcome >= 0]
    for outcome in counted:
        for _ in range(outcome + 1):
            counters.count(outcome, 0)
    numbers = counters.numbers()

    assert {name: numbers[name] for name in ("accepted", "not_wanted", "stale")} == {
        "accepted": 1,
        "not_wanted": 2,
        "stale": 6,
    }
    assert numbers["put"] == sum(range(1, len(counted) + 1))
    assert numbers.keys() <= Stats.__annotations__.keys()


def test_durations_are_those_of_the_last_calls() -> None:
    """Percentiles look at the last 512 calls, the sum at all."""
    counters = PutCounters()
    for _ in range(1000):
        counters.count(Outcome.ACCEPTED, 100 * MS)
    for number in range(512):
        counters.count(Outcome.ACCEPTED, number * MS)
    numbers = counters.numbers()

    assert numbers["put_ms_p50"] == 255
    assert numbers["put_ms_p99"] == 505
    assert numbers["put_ms_max"] == 511
    assert numbers["put_seconds"] == pytest.approx(100 + sum(range(512)) / 1000)


def test_before_the_first_call_all_is_zero() -> None:
    """An empty counters can be asked."""
    assert set(PutCounters().numbers().values()) == {0}
