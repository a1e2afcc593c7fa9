"""Run on one thread what other threads ask for and what descriptors bring."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import selectors
import threading
from typing import TYPE_CHECKING, Final

from backpack._lib.shortage import explain

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("backpack._ipc")

_FAULT_SECONDS: Final = 1.0


class Loop:
    """
    Sleep until a command, a descriptor or a time comes; then do what is due.

    Its thread starts with the first command and ends when there is nothing
    more to do. A command that fails is logged: one caller's fault must not
    take the streams of the others.

    Args:
        name: The thread's name.
        turn: Called on the thread before it sleeps. Gives the longest time to
            sleep in seconds, None for as long as nothing comes, or `Loop.DONE`.

    """

    DONE: Final = -1.0
    """What ``turn`` gives when the thread may end."""

    def __init__(self, name: str, turn: Callable[[], float | None]) -> None:
        self._name = name
        self._turn = turn
        # Guards the commands and the thread's coming and going.
        self._lock = threading.Lock()
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        # The thread's alone.
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._on_wake)

    # --- for any thread ------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def post(self, command: Callable[[], None]) -> None:
        """
        Have a command run, after those that were posted before; never waits.

        Raises:
            ShortageError: The thread cannot be started.

        """
        with self._lock:
            self._commands.append(command)
            if self._thread is None:
                # Daemon: an application that forgets to stop must be able to
                # end. It is joined by `finish`, at exit at the latest.
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    self._commands.clear()
                    raise explain(error) from error
                self._thread = thread
        self._wake()

    def finish(self, command: Callable[[], None], wait_seconds: float) -> None:
        """Have a last command run if the thread does, and wait for it to end."""
        with self._lock:
            thread = self._thread
            if thread is None:
                # At exit no thread can be started any more.
                return
            self._commands.append(command)
        self._wake()
        thread.join(wait_seconds)

    def abandon(self) -> None:
        """Close what a forked copy holds. Called in the forked child only."""
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\1")

    # --- on its thread -------------------------------------------------------

    def watch(self, fd: int, call: Callable[[], bool | None]) -> None:
        """Call whenever a descriptor can be read, until False is given."""
        self._selector.register(fd, selectors.EVENT_READ, call)

    def unwatch(self, fd: int) -> None:
        """Look at a descriptor no longer, if it was looked at."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def _run(self) -> None:
        while True:
            self._run_commands()
            try:
                seconds = self._turn()
            except Exception:
                # A fault of ours. Later: at once it would be met again, in circles.
                logger.exception("The streaming process could not be looked after.")
                seconds = _FAULT_SECONDS
            if seconds == self.DONE:
                if self._may_end():
                    return
                continue
            try:
                for key, _ in self._selector.select(seconds):
                    if key.data() is False:
                        self.unwatch(key.fd)
            except Exception:
                # This thread is all that keeps the streams of this process.
                logger.exception("What the streaming process said could not be followed.")

    def _may_end(self) -> bool:
        with self._lock:
            if self._commands:
                return False
            self._thread = None
            return True

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _run_commands(self) -> None:
        while True:
            with self._lock:
                if not self._commands:
                    return
                command = self._commands.popleft()
            try:
                command()
            except Exception:
                logger.exception("A request to the streaming process failed.")
