"""
The states of a SpyGlass, and what leads from one to the other.

::

                    start                 opened                first frame
       STOPPED ─────────────▶ START_WARMUP ─────▶ WARMUP ─────────────────▶ STREAMING
          ▲                     ▲    │    ▲         │                          │
          │ stop (from any)     │    │    └─────────┴────────── away ──────────┘
          │                  away    │ failed (from any)
          │                     │    ▼
          └──────────────────── ERROR ── opened ──▶ WARMUP

Everything that decides about the state stands in this file.
"""

from __future__ import annotations

import collections
import contextlib
import enum


class State(enum.Enum):
    """
    The state of a SpyGlass.

    Attributes:
        STOPPED: Not streaming.
        START_WARMUP: The outputs are being opened, or the streaming process
            is being started again.
        WARMUP: The outputs are open; the first frame, and with it the size of
            the video, is still to come.
        STREAMING: Frames that are put can be watched.
        ERROR: An output could not be opened. It is tried again.

    """

    STOPPED = 0
    START_WARMUP = 1
    WARMUP = 2
    STREAMING = 3
    ERROR = -1


class Event(enum.Enum):
    """What happens to a SpyGlass."""

    START = enum.auto()
    OPENED = enum.auto()
    FRAME = enum.auto()
    AWAY = enum.auto()
    FAILED = enum.auto()
    STOP = enum.auto()


_TABLE = {
    (State.STOPPED, Event.START): State.START_WARMUP,
    (State.START_WARMUP, Event.OPENED): State.WARMUP,
    (State.ERROR, Event.OPENED): State.WARMUP,
    (State.WARMUP, Event.FRAME): State.STREAMING,
    (State.WARMUP, Event.AWAY): State.START_WARMUP,
    (State.STREAMING, Event.AWAY): State.START_WARMUP,
    (State.ERROR, Event.AWAY): State.START_WARMUP,
    (State.START_WARMUP, Event.FAILED): State.ERROR,
    (State.WARMUP, Event.FAILED): State.ERROR,
    (State.STREAMING, Event.FAILED): State.ERROR,
    (State.START_WARMUP, Event.STOP): State.STOPPED,
    (State.WARMUP, Event.STOP): State.STOPPED,
    (State.STREAMING, Event.STOP): State.STOPPED,
    (State.ERROR, Event.STOP): State.STOPPED,
}


ACCEPTING = frozenset({State.WARMUP, State.STREAMING})
"""States in which frames are handed over."""


def next_state(state: State, event: Event) -> State:
    """Return the state after an event; one that means nothing there changes nothing."""
    return _TABLE.get((state, event), state)


class StateMachine:
    """
    Keep the state of one SpyGlass, why it is in it, and what is to be logged of its changes.

    `enter` is called under the SpyGlass's lock; the rest on any thread.

    Args:
        reason: Why it is stopped, where that needs saying.

    """

    def __init__(self, reason: str = "") -> None:
        self.state = State.STOPPED
        self.reason = reason
        self._changes: collections.deque[str] = collections.deque()

    def enter(self, event: Event, reason: str = "") -> None:
        """Go to the state that an event leads to, for a reason."""
        state = next_state(self.state, event)
        if state is not self.state:
            self._changes.append(f"{self.state.name} → {state.name} {reason}".rstrip())
        self.state = state
        self.reason = reason

    def take_changes(self) -> list[str]:
        """Return the changes that were not given before, oldest first, each to one caller."""
        changes: list[str] = []
        # Until there is none, for another thread may be quicker.
        with contextlib.suppress(IndexError):
            while True:
                changes.append(self._changes.popleft())
        return changes
