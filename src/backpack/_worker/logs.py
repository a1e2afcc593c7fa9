"""Send what is logged to the application; once it has gone, what matters to its stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import select
from typing import TYPE_CHECKING, Final

from backpack._ipc.channel import ChannelClosed
from backpack._ipc.messages import Log

if TYPE_CHECKING:
    from backpack._ipc.channel import Channel

_LONGEST_TEXT: Final = 8192
_AT_ONCE: Final = 4096
"""What a pipe that has room takes without waiting (Linux's PIPE_BUF)."""


class LogHandler(logging.Handler):
    """
    Send records to the application, which decides where they go.

    Once it has gone nobody reads them any more, while outputs still deliver for
    some seconds. What they could not deliver would be known to nobody: from
    then on warnings and errors are written to its standard error. Never waits.

    Args:
        channel: To the application.
        stderr: A copy of the application's standard error. None: it had none.

    """

    def __init__(self, channel: Channel, stderr: int | None) -> None:
        super().__init__()
        self._channel = channel
        self._stderr = stderr
        self._app_has_gone = False

    def on_app_exit(self) -> None:
        """Called when the application has gone. Idempotent."""
        self._app_has_gone = True

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, or write it; whoever should read it may have gone, too."""
        text = self.format(record)
        if not self._app_has_gone:
            with contextlib.suppress(ChannelClosed, ValueError):
                self._channel.send(Log(record.levelno, record.name, text[:_LONGEST_TEXT]))
        elif record.levelno >= logging.WARNING and self._stderr is not None:
            with contextlib.suppress(OSError):
                _write(self._stderr, f"{record.levelname} {record.name}: {text}")


def _write(fd: int, text: str) -> None:
    """Write lines, or nothing where nobody reads: what is delivered must not wait for that."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if poll.poll(0):
        os.write(fd, text.encode(errors="replace")[: _AT_ONCE - 1] + b"\n")
