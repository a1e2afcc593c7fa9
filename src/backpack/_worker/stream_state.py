"""
The states of a stream in the streaming process, as one table.

Every call and every event looks here; nothing else keeps a flag of how far a stream is.
"""

from __future__ import annotations

import enum
from typing import Final


class StreamState(enum.Enum):
    """How far a stream is."""

    OPENING = enum.auto()
    """Its encoder or an output is not known to work yet."""
    OPEN = enum.auto()
    """The application knows that it is open."""
    FAILED = enum.auto()
    """All outputs have failed, and the application knows it."""
    DRAINING = enum.auto()
    """What was put is being encoded; nothing new is taken."""
    DELIVERING = enum.auto()
    """The outputs deliver what they have."""
    CLOSING = enum.auto()
    """Everything is being closed."""
    CLOSED = enum.auto()
    """It is over."""

    @property
    def is_ending(self) -> bool:
        """Whether it is being closed, or is closed."""
        return self in _ENDING


class StreamEvent(enum.Enum):
    """What happens to a stream."""

    READY = enum.auto()
    """An encoder works, and every output is open."""
    REFUSED = enum.auto()
    """It cannot be opened."""
    ALL_FAILED = enum.auto()
    """No output delivers."""
    RECOVERED = enum.auto()
    """An output delivers again."""
    CLOSE = enum.auto()
    """The application closes it, or has gone."""
    DRAINED = enum.auto()
    """What was put is encoded, or the time for that is over."""
    DELIVERED = enum.auto()
    """The outputs have delivered, or the time for that is over."""
    RELEASED = enum.auto()
    """Everything is closed."""


_TABLE: Final = {
    (StreamState.OPENING, StreamEvent.READY): StreamState.OPEN,
    (StreamState.OPENING, StreamEvent.REFUSED): StreamState.DRAINING,
    (StreamState.OPENING, StreamEvent.CLOSE): StreamState.DRAINING,
    (StreamState.OPEN, StreamEvent.ALL_FAILED): StreamState.FAILED,
    (StreamState.OPEN, StreamEvent.CLOSE): StreamState.DRAINING,
    (StreamState.FAILED, StreamEvent.RECOVERED): StreamState.OPEN,
    (StreamState.FAILED, StreamEvent.CLOSE): StreamState.DRAINING,
    (StreamState.DRAINING, StreamEvent.DRAINED): StreamState.DELIVERING,
    (StreamState.DELIVERING, StreamEvent.DELIVERED): StreamState.CLOSING,
    (StreamState.CLOSING, StreamEvent.RELEASED): StreamState.CLOSED,
}

_ENDING: Final = frozenset(
    {StreamState.DRAINING, StreamState.DELIVERING, StreamState.CLOSING, StreamState.CLOSED}
)


def next_state(state: StreamState, event: StreamEvent) -> StreamState | None:
    """Return the state that an event leads to; `None` if it changes nothing in this state."""
    return _TABLE.get((state, event))
