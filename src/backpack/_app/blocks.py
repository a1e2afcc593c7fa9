"""Nested `with` blocks of one object: the outermost one starts and stops it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Blocks:
    """
    Count the open `with` blocks of an object.

    Any thread. A lock is held while the outermost block starts or stops the object.

    Attributes:
        count: How many there are.

    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.RLock()

    def enter(self, start: Callable[[], None], *, goes_on: bool) -> None:
        """
        Count a block that begins.

        Args:
            start: Called where it is the outermost one.
            goes_on: Whether what an outer block has started was not stopped meanwhile.

        """
        with self._lock:
            is_outermost = not (self.count and goes_on)
            if is_outermost:
                start()
            self.count = 1 if is_outermost else self.count + 1

    def leave(self, stop: Callable[[], None]) -> None:
        """Count the end of a block; call ``stop`` where it was the outermost one."""
        with self._lock:
            self.count = max(0, self.count - 1)
            if not self.count:
                stop()
