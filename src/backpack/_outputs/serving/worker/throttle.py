"""Slow down those who guess tokens and passwords, and tell of them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass

from backpack._outputs.serving.worker.connections import network_of

FREE_GUESSES = 5
"""A password may be mistyped."""

FORGIVEN_SECONDS = 10.0
"""How long one wrong guess counts."""

LONGEST_WAIT_SECONDS = 2.0

MOST_NETWORKS = 1024

WARN_SECONDS = 60.0
"""Between two warnings of one network."""

MOST_WARNINGS = 10
"""In that time, of all networks: who has many must not fill the log."""

logger = logging.getLogger(__name__)


@dataclass
class _Guesser:
    count: float
    seen: float
    warned: float = float("-inf")


class LoginThrottle:
    """
    Count wrong throttle by network; reads no clock. One thread at a time.

    Each costs its network a wait. Who has used up the free ones is not even
    listened to until some are forgiven: one guess in ten seconds then. What
    nobody can guess stays a way in all the while: those who watch through the
    same tunnel go on watching.

    Args:
        door: What is guessed at, as the log shall name it.

    """

    def __init__(self, door: str) -> None:
        self._door = door
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._warnings: list[float] = []
        # Since the server was opened.
        self.total = 0

    def wrong(self, address: str, now: float) -> float:
        """Note a wrong guess, and give the seconds to wait before it is answered."""
        self.total += 1
        network = network_of(address)
        guesser = self._present(network, now)
        # No more than shuts out: who stops is forgiven in time, however many there were.
        guesser.count = min(guesser.count + 1, FREE_GUESSES + 1)
        self._guessers[network] = guesser
        self._guessers.move_to_end(network)
        while len(self._guessers) > MOST_NETWORKS:
            self._guessers.popitem(last=False)
        self._warn(guesser, address, now)
        return min(LONGEST_WAIT_SECONDS, 0.1 * 2**guesser.count)

    def is_shut_out(self, address: str, now: float) -> bool:
        """Return whether throttle from there are not listened to at present."""
        return self._present(network_of(address), now).count >= FREE_GUESSES

    def _present(self, network: str, now: float) -> _Guesser:
        guesser = self._guessers.get(network)
        if guesser is None:
            return _Guesser(0.0, now)
        forgiven = (now - guesser.seen) / FORGIVEN_SECONDS
        return _Guesser(max(0.0, guesser.count - forgiven), now, guesser.warned)

    def _warn(self, guesser: _Guesser, address: str, now: float) -> None:
        self._warnings = [one for one in self._warnings if now - one < WARN_SECONDS]
        if now - guesser.warned < WARN_SECONDS or len(self._warnings) >= MOST_WARNINGS:
            return
        guesser.warned = now
        self._warnings.append(now)
        logger.warning(
            "Wrong login at %s from %s. Its next ones in this minute are counted, not logged.",
            self._door,
            address,
        )
