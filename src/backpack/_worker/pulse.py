"""Answer the pings of the application, and see to it that this process ends with it."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING

from backpack._gst.gi import GLib
from backpack._lib.threads import show_name
from backpack._lib.waker import Waker

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
"""How long the main loop may take to notice that the application has gone."""

_MOST = 255
_PR_SET_PDEATHSIG = 1


def continue_after_app_exit() -> None:
    """
    Have the kernel continue this process when the application dies while we are stopped.

    Who is stopped can end neither itself nor the ports that it holds. SIGCONT does nothing
    to a process that runs, so it does not matter that the kernel sends it also when only
    the thread that has started us ends (prctl(2), ``PR_SET_PDEATHSIG``).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT), 0, 0, 0)


def next_turn(call: Callable[[], None]) -> None:
    """Call on the main thread at the loop's next turn, before what else is due. Any thread."""

    def once() -> bool:
        call()
        return GLib.SOURCE_REMOVE

    GLib.idle_add(once, priority=GLib.PRIORITY_HIGH)


class Pulse:
    """
    Answer the application's pings on a thread of its own, whatever the main loop does.

    Each answer says how many pings the main loop has missed in a row: it may block for
    seconds, in a driver or a name server, and this process works all the same.

    Once the application has gone the main loop has some seconds to begin the end, which
    then has limits of its own; otherwise this process is killed.

    Args:
        sock: To the application, which sends a byte a ping. Owned from now on.
        parent_pid: The application's process id.
        on_app_exit: Called once the application has gone. On our thread.
        turn: Has the main loop call something at its next turn.
        kill: Ends this process.

    """

    def __init__(
        self,
        sock: socket.socket,
        parent_pid: int,
        *,
        on_app_exit: Callable[[], None],
        turn: Callable[[Callable[[], None]], None] = next_turn,
        kill: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL),
    ) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self._sock = sock
        self._parent_pid = parent_pid
        self._turn = turn
        self._on_app_exit = on_app_exit
        self._kill = kill
        self._waker = Waker()
        self._has_turned = threading.Event()
        self._has_turned.set()
        self._behind = 0
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spyglass-pulse", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def note_end(self) -> None:
        """Called when the main loop has begun the end, and limits it. Any thread; idempotent."""
        self._is_ending.set()

    def close(self) -> None:
        """End the thread and give the descriptors back. Idempotent."""
        self._is_ending.set()
        self._waker.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._waker.close()
        self._sock.close()

    def _run(self) -> None:
        show_name()
        poll = select.poll()
        with contextlib.ExitStack() as undo:
            parent = self._open_parent()
            if parent is not None:
                undo.callback(os.close, parent)
                poll.register(parent, select.POLLIN)
            poll.register(self._sock, select.POLLIN)
            poll.register(self._waker.fd, select.POLLIN)
            while True:
                ready = {fd for fd, _ in poll.poll()}
                if self._waker.fd in ready:
                    return
                if parent in ready or not self._answer():
                    break
        self._outlive()

    def _open_parent(self) -> int | None:
        """
        Return a descriptor that can be read once the application has gone, where there is such.

        A process that the application has forked keeps the other end of our socket open.
        """
        if not hasattr(os, "pidfd_open"):
            return None
        try:
            return os.pidfd_open(self._parent_pid)
        except OSError:
            # If it has gone already the socket says so.
            return None

    def _answer(self) -> bool:
        """Answer the pings that have come in; tell whether more can come."""
        try:
            if not self._sock.recv(64):
                return False
            if self._has_turned.is_set():
                self._behind = 0
                self._has_turned.clear()
                self._turn(self._has_turned.set)
            else:
                self._behind += 1
            self._sock.send(bytes([min(self._behind, _MOST)]))
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _outlive(self) -> None:
        """Wait for the end that the main loop begins, or end it all."""
        self._on_app_exit()
        if not self._is_ending.wait(GRACE_SECONDS):
            logger.error(
                "The application has gone, and the streaming process has been held up by one "
                "thing for %.0f s: it is ended. What its outputs had is lost.",
                GRACE_SECONDS,
            )
            self._kill()
