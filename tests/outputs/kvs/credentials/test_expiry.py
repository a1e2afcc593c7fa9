from __future__ import annotations

import datetime as dt
import random

import pytest
from botocore.credentials import RefreshableCredentials

from backpack._outputs.kvs.credentials.expiry import seconds_left

NOW = dt.datetime(2026, 11, 22, 9, 0, tzinfo=dt.timezone.utc)


def asked_of_botocore(seconds: float | None) -> tuple[float | None, int]:
    """Bisect credentials of botocore's own, whose clock stands; give the questions' number, too."""
    expiry = None if seconds is None else NOW + dt.timedelta(seconds=seconds)
    credentials = RefreshableCredentials(
        "A", "s", "t", expiry, refresh_using=dict, method="m", time_fetcher=lambda: NOW
    )
    questions = 0

    def refresh_needed(refresh_in: float) -> bool:
        nonlocal questions
        questions += 1
        return bool(credentials.refresh_needed(refresh_in=refresh_in))

    return seconds_left(refresh_needed), questions


@pytest.mark.parametrize("seconds", [0.05, 0.2, 1, 15, 60, 899, 901, 3600, 43_200, 30_000_000])
def test_the_expiry_is_found(seconds: float) -> None:
    """It is a tenth of a second too early at most, and never too late."""
    left, questions = asked_of_botocore(seconds)

    assert left is not None
    assert seconds - 0.1 <= left <= seconds
    assert questions < 35


def test_the_expiry_is_found_wherever_it_is() -> None:
    """Any number of seconds is found."""
    chance = random.Random(7)
    for _ in range(200):
        seconds = 10 ** chance.uniform(-1, 7)
        left, _ = asked_of_botocore(seconds)
        assert left is not None
        assert seconds - 0.1 <= left <= seconds


@pytest.mark.parametrize("seconds", [0, -0.1, -3600])
def test_none_are_left(seconds: float) -> None:
    """Credentials that have run out have no seconds left."""
    left, _ = asked_of_botocore(seconds)

    assert left is not None
    assert left == 0


@pytest.mark.parametrize("seconds", [None, 500 * 86_400])
def test_there_is_no_expiry(seconds: float | None) -> None:
    """What lasts longer than a year lasts for ever."""
    left, questions = asked_of_botocore(seconds)

    assert left is None
    assert questions == 1
