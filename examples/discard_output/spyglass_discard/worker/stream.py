"""The streaming process's side: takes the access units of a stream."""

from __future__ import annotations

from typing import Any


class DiscardStream:
    """
    Counts the access units of a stream.

    Args:
        name: What the counting is called.
        source: The stream.

    """

    # Whether it takes pictures that were made for viewers while the application was silent.
    takes_repeats = False
    # Whether it is not known yet if it can be opened, whether nothing is delivered, and why.
    opening = False
    failed = False
    trouble = ""
    # Access units that it could not take in time.
    lost = 0
    # Whether what `finish` has begun is over.
    finished = True

    def __init__(self, name: str, source: Any) -> None:  # noqa: ANN401 - SpyGlass's
        self._name = name
        self._source = source
        self._units = 0
        self._bytes = 0
        # From now on `push` is called for each access unit, while somebody watches the stream.
        source.hub.subscribe(self)

    def push(self, unit: Any) -> None:  # noqa: ANN401 - SpyGlass's
        """Take one access unit: H.264 in Annex B form. On the encoder's thread; never block."""
        self._units += 1
        self._bytes += len(unit.data)

    def on_lost(self, error: Exception) -> None:
        """Handle that an error of `push` has cost this output its place."""

    # The rest is called on the main thread, which serves all streams: nothing may block it.

    @property
    def viewers(self) -> int:
        """How many watch through it. While somebody does, the stream is encoded."""
        return 1

    def numbers(self) -> dict[str, Any]:
        """Return what goes into `stats().outputs`; ``counters`` add up over restarts."""
        return {"name": self._name, "counters": {"units": self._units, "bytes": self._bytes}}

    def on_message(self, body: dict[str, Any]) -> None:
        """Handle a message from the application's side."""
        self._source.peer.send({"answer": body["hello"]})

    def on_app_exit(self) -> None:
        """Handle that the application has gone."""

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """Begin to deliver what is left. `peer.stats_changed()` says when `finished` is true."""

    def close(self) -> None:
        """Close it. Called once at least, also after a failure."""
        self._source.hub.unsubscribe(self)


def open_output(description: dict[str, Any], source: Any, _settings: object) -> DiscardStream:  # noqa: ANN401
    """
    Open the output that `describe` has described.

    Args:
        description: What it returned.
        source: The stream: `hub` with its access units, `numbers()`, `snapshot(width, then)`,
            and `peer` with `send(body)` and `stats_changed()`.
        _settings: The settings of the stream: rate, bitrate, size.

    """
    return DiscardStream(description["name"], source)
