"""Slow down those who guess tokens and passwords."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Guesses"]

FREE_GUESSES = 5
"""A password may be mistyped."""

FORGIVEN_SECONDS = 10.0
"""How long one wrong guess counts."""

LONGEST_WAIT_SECONDS = 2.0

MOST_ADDRESSES = 1024


@dataclass
class _Guesser:
    count: float
    seen: float


class Guesses:
    """
    Count wrong guesses by address; reads no clock.

    Each costs its address a wait. Who has used up the free ones is not even
    listened to until some are forgiven: one guess in ten seconds then. The
    cookie, which nobody can guess, stays a way in all the while: those who
    watch through the same tunnel go on watching.
    """

    def __init__(self) -> None:
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    def wrong(self, address: str, now: float) -> float:
        """Note a wrong guess, and give the seconds to wait before it is answered."""
        guesser = self._present(address, now)
        guesser.count += 1
        self._guessers[address] = guesser
        self._guessers.move_to_end(address)
        while len(self._guessers) > MOST_ADDRESSES:
            self._guessers.popitem(last=False)
        return min(LONGEST_WAIT_SECONDS, 0.1 * 2 ** min(guesser.count, 10))

    def is_shut_out(self, address: str, now: float) -> bool:
        """Tell whether guesses from there are not listened to at present."""
        return self._present(address, now).count >= FREE_GUESSES

    def _present(self, address: str, now: float) -> _Guesser:
        guesser = self._guessers.get(address)
        if guesser is None:
            return _Guesser(0.0, now)
        forgiven = (now - guesser.seen) / FORGIVEN_SECONDS
        return _Guesser(max(0.0, guesser.count - forgiven), now)
