from __future__ import annotations

import math

import pytest

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.renewal import Renewal
from tests.outputs.kvs.credentials.stand_ins import START, made


def due_in(renewal: Renewal, credentials: Credentials | None, now: float = 0.0) -> float:
    """Ask it, so many seconds after the start."""
    return renewal.due_in(credentials, wall=START + now, now=now)


def test_the_first_are_due_at_once() -> None:
    """Without credentials there is nothing to wait for."""
    assert due_in(Renewal(), None) == 0


@pytest.mark.parametrize(
    ("lasts", "due"), [(60, 30), (900, 450), (1680, 840), (3600, 2760), (43_200, 42_360)]
)
def test_renewal_is_ahead_of_expiry(lasts: float, due: float) -> None:
    """14 minutes ahead, or half of the time where there is less; where botocore renews at all."""
    renewal = Renewal()
    credentials = made(lasts=lasts)
    renewal.succeeded(credentials, fresh=True, wall=START, now=0)

    assert due_in(renewal, credentials) == due
    assert lasts - due < 15 * 60
    assert due_in(renewal, credentials, now=due + 1) == 0


def test_lasting_credentials_are_never_due() -> None:
    """Neither expiry nor token: they stay as they are."""
    renewal = Renewal()
    credentials = Credentials.of("AKIA", "s")
    renewal.succeeded(credentials, fresh=True, wall=START, now=0)

    assert due_in(renewal, credentials, now=1e9) == math.inf


def test_a_token_without_expiry_is_looked_up_every_ten_minutes() -> None:
    """Somebody may keep a file fresh."""
    renewal = Renewal()
    credentials = made(lasts=None)
    renewal.succeeded(credentials, fresh=True, wall=START, now=5)

    assert due_in(renewal, credentials, now=5) == 600


def test_where_there_is_nothing_newer_it_is_asked_again_soon() -> None:
    """A machine's role has its next credentials minutes before expiry; that is no failure."""
    renewal = Renewal()
    credentials = made(lasts=3600)
    renewal.succeeded(credentials, fresh=True, wall=START, now=0)
    renewal.succeeded(credentials, fresh=False, wall=START + 2760, now=2760)

    assert due_in(renewal, credentials, now=2760) == 60
    assert renewal.failures == 0

    renewal.succeeded(credentials, fresh=False, wall=START + 3590, now=3590)
    assert due_in(renewal, credentials, now=3590) == 2.5


def test_after_failures_it_waits_longer_and_longer() -> None:
    """One second, two, four, up to a minute; a success begins anew."""
    renewal = Renewal()
    credentials = made(lasts=60)
    renewal.succeeded(credentials, fresh=True, wall=START, now=0)

    waits = []
    for _ in range(8):
        waits.append(renewal.failed(30))
        assert due_in(renewal, credentials, now=30) == waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert renewal.failures == 8

    renewal.succeeded(made(2, lasts=60), fresh=True, wall=START, now=0)
    assert renewal.failures == 0
    assert renewal.failed(30) == 1


def test_a_service_that_refuses_for_ever_does_not_drive_it() -> None:
    """Forced renewals are 10 s apart, then 20, up to five minutes; calm lets them begin anew."""
    renewal = Renewal()
    forced = []
    for now in range(3600):
        if renewal.may_be_forced(now):
            renewal.forced(now)
            forced.append(now)

    assert forced[:6] == [0, 10, 30, 70, 150, 310]
    assert len(forced) < 18

    renewal.forced(10_000)
    assert renewal.may_be_forced(10_010)


def test_nothing_is_forced_while_it_waits_after_a_failure() -> None:
    """What gives credentials is not asked more often because AWS is asked more often."""
    renewal = Renewal()
    renewal.failed(0)

    assert not renewal.may_be_forced(0.9)
    assert renewal.may_be_forced(1)
