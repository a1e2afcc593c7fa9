"""Decide who loses when an output is slower than its stream."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.access_unit import AccessUnit

DEFAULT_MAX_UNITS = 90
"""Three seconds at 30 frames a second."""

DEFAULT_MAX_BYTES = 8 * 1024 * 1024
"""Three seconds at 20 Mbit/s: a queue is not where a machine's memory should go."""


class DropPolicy:
    """
    Decide, unit by unit, whether a bounded queue takes it.

    When the queue is full, its output alone skips to the next key frame: a gap
    inside of a group of pictures would be smeared over all that follow.
    Holds no unit and reads no clock. Not thread-safe: its owner locks.

    Args:
        max_units: Units that may wait.
        max_bytes: Bytes that may wait. A single larger unit still passes
            through an empty queue.

    """

    def __init__(
        self, max_units: int = DEFAULT_MAX_UNITS, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        self._max_units = max_units
        self._max_bytes = max_bytes
        self._skipping = False
        self._lost = 0
        self._gaps = 0

    def admit(self, size: int, *, key: bool, waiting_units: int, waiting_bytes: int) -> bool:
        """
        Decide whether a unit of ``size`` bytes joins those that wait.

        Args:
            size: Bytes of the unit.
            key: Whether decoding can start at it.
            waiting_units: Units in the queue now.
            waiting_bytes: Bytes in the queue now.

        Returns:
            True: it joins. False: it is lost, and counted.

        """
        full = waiting_units > 0 and (
            waiting_units >= self._max_units or waiting_bytes + size > self._max_bytes
        )
        if full or (self._skipping and not key):
            if not self._skipping:
                self._gaps += 1
            self._skipping = True
            self._lost += 1
            return False
        self._skipping = False
        return True

    @property
    def skipping(self) -> bool:
        """Whether only a key frame helps now."""
        return self._skipping

    @property
    def lost(self) -> int:
        """How many units were turned away."""
        return self._lost

    @property
    def gaps(self) -> int:
        """How many times the output had to skip."""
        return self._gaps

    def has_room(self, *, waiting_units: int, waiting_bytes: int) -> bool:
        """Return whether to ask for a key frame: it is skipping, and half of it is free again."""
        return (
            self._skipping
            and waiting_units * 2 <= self._max_units
            and waiting_bytes * 2 <= self._max_bytes
        )


class UnitQueue:
    """
    Hand units from the encoder's thread to one output's own thread.

    Bounded, and `put` never waits: full means that this output loses what
    comes until the next key frame, by `DropPolicy`.

    Args:
        policy: Who loses when it is full.
        on_room: Called on the reading thread when a skipping queue has room
            again: ask for a key frame. `backpack._media.hub.Hub.request_key_frame`
            fits.

    """

    def __init__(
        self, policy: DropPolicy | None = None, *, on_room: Callable[[], None] | None = None
    ) -> None:
        self._policy = policy or DropPolicy()
        self._on_room = on_room
        # Guards everything below, and the policy.
        self._changed = threading.Condition()
        self._units: deque[AccessUnit] = deque()
        self._bytes = 0
        self._room_told = False
        self._closed = False

    def put(self, unit: AccessUnit) -> bool:
        """Take a unit, or lose it and say False. Never waits. Any thread."""
        with self._changed:
            if self._closed or not self._policy.admit(
                len(unit.data),
                key=unit.key,
                waiting_units=len(self._units),
                waiting_bytes=self._bytes,
            ):
                return False
            self._units.append(unit)
            self._bytes += len(unit.data)
            self._room_told = False
            self._changed.notify()
            return True

    def get(self, timeout_seconds: float | None = None) -> AccessUnit | None:
        """
        Wait for the next unit. The output's own thread.

        Args:
            timeout_seconds: How long to wait. None: until one comes.

        Returns:
            The unit. None: the time is up, or the queue was closed and is empty.

        """
        with self._changed:
            self._changed.wait_for(lambda: self._units or self._closed, timeout_seconds)
            if not self._units:
                return None
            unit = self._units.popleft()
            self._bytes -= len(unit.data)
            tell = not self._room_told and self._policy.has_room(
                waiting_units=len(self._units), waiting_bytes=self._bytes
            )
            self._room_told = self._room_told or tell
        if tell and self._on_room is not None:
            self._on_room()
        return unit

    def clear(self) -> int:
        """Throw away what waits, and say how many units that was."""
        with self._changed:
            count = len(self._units)
            self._units.clear()
            self._bytes = 0
            return count

    def close(self) -> None:
        """Take nothing more. What waits can still be read. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._changed:
            return self._closed

    @property
    def lost(self) -> int:
        """How many units this output has lost."""
        with self._changed:
            return self._policy.lost

    def __len__(self) -> int:
        with self._changed:
            return len(self._units)
