from __future__ import annotations

from backpack._outputs.serving.worker.throttle import (
    FORGIVEN_SECONDS,
    FREE_GUESSES,
    MOST_NETWORKS,
    Guesses,
)


def test_each_wrong_guess_waits_longer() -> None:
    """Up to two seconds."""
    guesses = Guesses("the page")
    waits = [guesses.wrong("a", 0.0) for _ in range(8)]

    assert waits == sorted(waits)
    assert waits[0] < 0.5
    assert waits[-1] == 2.0


def test_too_many_are_not_listened_to() -> None:
    """Until some are forgiven; other addresses are none of it."""
    guesses = Guesses("the page")
    for _ in range(FREE_GUESSES):
        assert not guesses.is_shut_out("a", 0.0)
        guesses.wrong("a", 0.0)

    assert guesses.is_shut_out("a", 0.0)
    assert not guesses.is_shut_out("b", 0.0)
    assert not guesses.is_shut_out("a", FORGIVEN_SECONDS * 1.1)


def test_what_is_remembered_is_bounded() -> None:
    """Whoever has many addresses fills no memory."""
    guesses = Guesses("the page")
    for number in range(MOST_NETWORKS * 2):
        guesses.wrong(str(number), 0.0)

    assert len(guesses._guessers) == MOST_NETWORKS
