"""Decide how long a producer waits for what it has asked for."""

from __future__ import annotations

from typing import Final

SIGN_SECONDS: Final = 40.0
"""For a signature. An application without credentials says so by itself, after 30 s at most."""

ANSWER_SECONDS: Final = 10.0
"""For an answer's first line, from when the request is signed."""

DRAIN_SECONDS: Final = 10.0
"""For what was sent to be persisted, counted anew whenever something is."""


class Patience:
    """Know until when something may come. Reads no clock."""

    def __init__(self) -> None:
        self.until = float("inf")
        # Whether what was asked is on its way, and not to be signed any more.
        self.is_signed = False

    def ask(self, now: float) -> None:
        """Wait for a signature."""
        self.until = now + SIGN_SECONDS
        self.is_signed = False

    def signed(self, now: float) -> None:
        """Wait for an answer."""
        self.until = now + ANSWER_SECONDS
        self.is_signed = True

    def drain(self, now: float) -> None:
        """Wait for the last acknowledgements."""
        self.until = now + DRAIN_SECONDS

    def is_over(self, now: float) -> bool:
        """Return whether it has not come in time."""
        return now >= self.until
