"""Decide how long a producer that was told to stop may go on."""

from __future__ import annotations


class Deadline:
    """
    A deadline for a stop, extended while fragments keep arriving, up to a hard limit.

    Args:
        now: When it was told to stop.
        timeout_seconds: How long that may take, and how long it may be stuck.
        longest_seconds: How long it may take at most while it gets somewhere.

    """

    def __init__(self, now: float, timeout_seconds: float, longest_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._latest = now + max(timeout_seconds, longest_seconds)
        # When it is over.
        self.at = now + timeout_seconds

    def progressed(self, now: float) -> None:
        """Called when something of what waited is persisted."""
        self.at = max(self.at, min(now + self._timeout_seconds, self._latest))
