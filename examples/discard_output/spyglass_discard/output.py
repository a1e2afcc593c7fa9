"""The application's side: what a URL stands for, and what is known of it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class DiscardOutput:
    """
    An output that counts and throws away.

    Args:
        name: What the counting is called, in statistics.

    """

    # How long a stop waits at least for what is still to be delivered, in seconds.
    deliver_seconds = 0.0

    def __init__(self, name: str) -> None:
        self.name = name
        self._greeting: dict[str, Any] = {}

    def describe(self) -> dict[str, Any]:
        """Return what the other side needs, as JSON would take it; ``kind`` is the scheme."""
        return {"kind": "discard", "name": self.name}

    def acquire(self) -> None:
        """Open what the output needs here before the stream starts: nothing."""

    def release(self) -> None:
        """Close it after the stream has stopped."""

    def urls(self) -> list[str]:
        """Return where it can be watched, or what it is called."""
        return [f"discard://{self.name}"]

    # An output whose two sides talk to each other has these four methods as well.

    def connect(self, send: Callable[[dict[str, Any]], None]) -> None:
        """Take the line to the other side. Called before each opening of the stream."""
        send({"hello": self.name})

    def on_message(self, body: dict[str, Any]) -> None:
        """Handle a message from the other side. Must not block."""
        self._greeting = body

    def on_worker_exit(self, told: Mapping[str, Any]) -> None:
        """Note that the other side has gone with the streaming process."""

    def numbers(self) -> dict[str, Any]:
        """Return what is known here, for `stats().outputs`. Must not block."""
        return {"greeting": self._greeting}


def output_from_url(url: str, options: object) -> DiscardOutput:  # noqa: ARG001 - of the contract
    """Return the output that a URL stands for; raise ValueError if it stands for none."""
    name = urlsplit(url).netloc
    if not name:
        raise ValueError(f"{url!r}: give discard://NAME.")
    return DiscardOutput(name)
