from __future__ import annotations

from backpack._outputs.serving.worker.throttle import (
    FORGIVEN_SECONDS,
    FREE_GUESSES,
    MOST_NETWORKS,
    LoginThrottle,
)


def test_each_wrong_guess_waits_longer() -> None:
    """Up to two seconds."""
    throttle = LoginThrottle("the page")
    waits = [throttle.wrong("a", 0.0) for _ in range(8)]

    assert waits == sorted(waits)
    assert waits[0] < 0.5
    assert waits[-1] == 2.0


def test_too_many_are_not_listened_to() -> None:
    """Until some are forgiven; other addresses are none of it."""
    throttle = LoginThrottle("the page")
    for _ in range(FREE_GUESSES):
        assert not throttle.is_shut_out("a", 0.0)
        throttle.wrong("a", 0.0)

    assert throttle.is_shut_out("a", 0.0)
    assert not throttle.is_shut_out("b", 0.0)
    assert not throttle.is_shut_out("a", FORGIVEN_SECONDS * 1.1)


def test_what_is_remembered_is_bounded() -> None:
    """Whoever has many addresses fills no memory."""
    throttle = LoginThrottle("the page")
    for number in range(MOST_NETWORKS * 2):
        throttle.wrong(str(number), 0.0)

    assert len(throttle._guessers) == MOST_NETWORKS
