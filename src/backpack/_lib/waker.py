"""Wake a thread that sleeps in `poll`, from any other."""

from __future__ import annotations

import contextlib
import os
import threading


class Waker:
    """
    A descriptor that can be read once somebody has called.

    Any thread may `wake`, also after `close`: then nothing happens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)

    def wake(self) -> None:
        """Make the descriptor readable."""
        # Full: the sleeper has enough reasons to wake up already.
        with self._lock, contextlib.suppress(BlockingIOError):
            # Who calls may outlive us: another file may have our number by then.
            if self._write_fd >= 0:
                os.write(self._write_fd, b"\1")

    def drain(self) -> None:
        """Take all calls until now as heard."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        with self._lock:
            if self._write_fd >= 0:
                os.close(self.fd)
                os.close(self._write_fd)
            self.fd = self._write_fd = -1
