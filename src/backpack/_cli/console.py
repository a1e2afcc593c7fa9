"""Share standard error between messages and one line that is rewritten."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

_CLEAR_LINE = "\r\x1b[K"


class Console(logging.Handler):
    """
    Write messages, log records and a status line, each on a line of its own.

    In a terminal the status line stays the last one and is rewritten;
    elsewhere each goes on a line of its own. Any thread may write. While
    entered, it takes the log records of this package.

    Args:
        stream: Where to.
        verbose: Whether to show what is only good to know.

    """

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False) -> None:
        super().__init__(logging.INFO if verbose else logging.WARNING)
        self._stream = sys.stderr if stream is None else stream
        self.is_terminal = self._stream.isatty()
        self._lock = threading.RLock()
        # The status line that stands in the terminal now.
        self._status = ""
        # Messages that are kept back, while they are.
        self._held: list[str] | None = None

    def __enter__(self) -> Self:
        logger = logging.getLogger("backpack")
        logger.setLevel(self.level)
        logger.addHandler(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger("backpack").removeHandler(self)
        with self._lock:
            if self._status:
                self._write("\n")
                self._status = ""

    @contextlib.contextmanager
    def holding_back(self) -> Iterator[None]:
        """
        Keep log records back during a block, and drop them if it fails.

        What it raises says the same, and says it once.
        """
        self._held = []
        try:
            yield
        except BaseException:
            self._held = None
            raise
        held, self._held = self._held, None
        for text in held or ():
            self.say(text)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record."""
        try:
            text = self.format(record)
            held = self._held
            if held is None:
                self.say(text)
            else:
                held.append(text)
        except Exception:  # noqa: BLE001 - as all handlers of logging do
            self.handleError(record)

    def say(self, text: str) -> None:
        """Write a message."""
        with self._lock:
            clear = _CLEAR_LINE if self._status else ""
            self._write(f"{clear}spyglass: {text}\n{self._status}")

    def show(self, status: str) -> None:
        """Write the status line anew."""
        with self._lock:
            if not self.is_terminal:
                self._write(f"{status}\n")
                return
            # A line that wraps could not be rewritten.
            self._status = status[: self._columns() - 1]
            self._write(_CLEAR_LINE + self._status)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal has been closed; there is nobody to tell.
            self.is_terminal = False
