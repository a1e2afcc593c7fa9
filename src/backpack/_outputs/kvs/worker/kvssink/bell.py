"""Wake a thread that waits for descriptors."""

from __future__ import annotations

import contextlib
import socket


class Bell:
    """A descriptor that can be read once somebody has rung. `ring` is for any thread."""

    def __init__(self) -> None:
        self._ear, self._hand = socket.socketpair()
        self._ear.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self._hand.setblocking(False)  # noqa: FBT003

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._ear.fileno()

    def ring(self) -> None:
        """Wake whoever waits. Does nothing if it has been rung already, or is closed."""
        with contextlib.suppress(OSError):
            self._hand.send(b"!")

    def silence(self) -> None:
        """Forget that it was rung."""
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(64):
                pass

    def close(self) -> None:
        """Close it. Idempotent."""
        self._ear.close()
        self._hand.close()
