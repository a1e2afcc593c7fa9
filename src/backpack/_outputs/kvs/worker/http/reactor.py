"""Let one thread wait for its connections and for what other threads want of it."""

from __future__ import annotations

import contextlib
import selectors
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from backpack._lib.waker import Waker

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

Ready: TypeAlias = "Callable[[int], None]"
"""Called with what a socket is ready for. It may be closed by then: who is called looks."""


class Reactor:
    """Sleep until a socket, another thread or a time comes. One thread's but for two methods."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker = Waker()
        self._selector.register(self._waker.fd, READ, self._on_wake)
        self._posted: deque[Callable[[], None]] = deque()
        # Whether the thread sleeps, and whether it wants to be woken up for
        # work. Written by it before it looks for the last time, read by others
        # after they have left something: one of the two sees it.
        self._asleep = False
        self._on_call = False

    def post(self, call: Callable[[], None]) -> None:
        """Have something called on the thread. Any thread; never waits."""
        self._posted.append(call)
        if self._asleep:
            self._waker.wake()

    def wake(self, *, urgent: bool) -> None:
        """Say that there is work. Any thread; costs nothing while it will look anyway."""
        if self._on_call or (urgent and self._asleep):
            self._waker.wake()

    def watch(self, sock: socket.socket, events: int, ready: Ready) -> None:
        """Call when a socket is ready."""
        self._selector.register(sock, events, ready)

    def change(self, sock: socket.socket, events: int, ready: Ready) -> None:
        """Wait for something else of a socket."""
        self._selector.modify(sock, events, ready)

    def forget(self, sock: socket.socket) -> None:
        """Call no more for a socket that is about to be closed."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def wait(self, seconds: float | None, busy: Callable[[], bool], *, calm: bool = False) -> None:
        """
        Sleep, then call for everything that has come.

        Args:
            seconds: How long. None: until something comes.
            busy: Tells whether there is work, so that nobody may sleep.
            calm: Let work wait until then, unless it is urgent.

        """
        self._asleep, self._on_call = True, not calm
        if self._posted or (not calm and busy()):
            seconds = 0.0
        ready = self._selector.select(seconds)
        self._asleep = self._on_call = False
        for key, events in ready:
            key.data(events)
        while self._posted:
            self._posted.popleft()()

    def close(self) -> None:
        """Close the descriptors. What is posted after that is never called."""
        self._selector.close()
        self._waker.close()

    def _on_wake(self, _events: int) -> None:
        self._waker.drain()
