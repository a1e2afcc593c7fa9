"""
The states of a SpyGlass and of a server, and what leads from one to the other.

::

                    start                 opened                first frame
       STOPPED ─────────────▶ START_WARMUP ─────▶ WARMUP ─────────────────▶ STREAMING
          ▲                     ▲    │    ▲         │                          │
          │ stop (from any)     │    │    └─────────┴────────── away ──────────┘
          │                  away    │ failed (from any)
          │                     │    ▼
          └──────────────────── ERROR ── opened ──▶ WARMUP

A server that listens is in WARMUP: it waits for no frame. Everything that decides about the
state stands in this file. There is no state for what is being stopped: starts and stops come
one after the other, and until the streaming process has confirmed a stop nothing can be told
apart from stopped.
"""

from __future__ import annotations

import collections
import contextlib
import enum

from backpack._app.put_counters import Outcome


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


class Phase(enum.Enum):
    """
    What a SpyGlass or a server of the application is doing, more finely than `State` tells.

    Attributes:
        shown: The state that the application sees.
        refusal: What becomes of frames that are put. None: they are taken.

    """

    STOPPED = State.STOPPED, Outcome.STOPPED
    START_WARMUP = State.START_WARMUP, Outcome.AWAY
    WARMUP = State.WARMUP, None
    STREAMING = State.STREAMING, None
    ERROR = State.ERROR, Outcome.AWAY
    # The environment asks for nothing to be streamed.
    DISABLED = State.STOPPED, Outcome.DISABLED
    # A copy, in a child that was forked from the process that has made it.
    FORKED = State.STOPPED, Outcome.FORKED

    def __init__(self, shown: State, refusal: Outcome | None) -> None:
        self.shown = shown
        self.refusal = refusal


class Event(enum.Enum):
    """What happens to a SpyGlass, or a server."""

    START = enum.auto()
    OPENED = enum.auto()
    FRAME = enum.auto()
    AWAY = enum.auto()
    FAILED = enum.auto()
    STOP = enum.auto()
    FORK = enum.auto()


_TABLE = {
    (Phase.STOPPED, Event.START): Phase.START_WARMUP,
    (Phase.START_WARMUP, Event.OPENED): Phase.WARMUP,
    (Phase.ERROR, Event.OPENED): Phase.WARMUP,
    (Phase.WARMUP, Event.FRAME): Phase.STREAMING,
    (Phase.WARMUP, Event.AWAY): Phase.START_WARMUP,
    (Phase.STREAMING, Event.AWAY): Phase.START_WARMUP,
    (Phase.ERROR, Event.AWAY): Phase.START_WARMUP,
    (Phase.START_WARMUP, Event.FAILED): Phase.ERROR,
    (Phase.WARMUP, Event.FAILED): Phase.ERROR,
    (Phase.STREAMING, Event.FAILED): Phase.ERROR,
    (Phase.START_WARMUP, Event.STOP): Phase.STOPPED,
    (Phase.WARMUP, Event.STOP): Phase.STOPPED,
    (Phase.STREAMING, Event.STOP): Phase.STOPPED,
    (Phase.ERROR, Event.STOP): Phase.STOPPED,
    **{(phase, Event.FORK): Phase.FORKED for phase in Phase},
}


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase after an event; one that means nothing there changes nothing."""
    return _TABLE.get((phase, event), phase)


class StateMachine:
    """
    Keep the state of one SpyGlass, why it is in it, and what is to be logged of its changes.

    `enter` is called under the SpyGlass's lock; the rest on any thread.

    Args:
        phase: `Phase.STOPPED`, or `Phase.DISABLED`.
        reason: Why it is stopped, where that needs saying.

    """

    def __init__(self, phase: Phase = Phase.STOPPED, reason: str = "") -> None:
        self.phase = phase
        self.reason = reason
        self._changes: collections.deque[str] = collections.deque()

    def enter(self, event: Event, reason: str = "") -> None:
        """Go to the phase that an event leads to, for a reason."""
        phase = next_phase(self.phase, event)
        if phase.shown is not self.phase.shown:
            self._changes.append(f"{self.state.name} → {phase.shown.name} {reason}".rstrip())
        self.phase = phase
        self.reason = reason

    @property
    def state(self) -> State:
        """The state that the application sees."""
        return self.phase.shown

    def take_changes(self) -> list[str]:
        """Return the changes that were not given before, oldest first, each to one caller."""
        changes: list[str] = []
        # Until there is none, for another thread may be quicker.
        with contextlib.suppress(IndexError):
            while True:
                changes.append(self._changes.popleft())
        return changes
