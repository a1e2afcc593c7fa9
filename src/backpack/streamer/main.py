"""Run the streaming process: take orders from the application, tell it what happens."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from backpack.errors import BackpackError
from backpack.handover.channel import Channel, ChannelClosed
from backpack.handover.messages import (
    PROTOCOL_VERSION,
    Log,
    Message,
    Ready,
    Unavailable,
)
from backpack.streamer.priority import step_behind

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

EXIT_UNAVAILABLE = 3
HANG_SECONDS = 2.0
"""How much longer than it may take the end is waited for."""


class ChannelHandler(logging.Handler):
    """Send log records to the application, which decides where they go."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; the application may have gone."""
        try:
            text = self.format(record)
            self._channel.send(Log(record.levelno, record.name, text[:8192]))
        except (ChannelClosed, ValueError):
            pass


def main(arguments: Sequence[str]) -> int:
    """
    Be the streaming process.

    Args:
        arguments: The number of the descriptor of our end of the channel.

    Returns:
        The exit status: 0 after an orderly end, 3 where this Python has no
        GStreamer.

    """
    step_behind()
    channel = Channel(socket.socket(fileno=int(arguments[0])))
    try:
        # Only now: what is missing is told to the application.
        from backpack.gst.gi import gstreamer_version  # noqa: PLC0415
        from backpack.streamer.streamer import Streamer  # noqa: PLC0415
    except BackpackError as error:
        _say(channel, Unavailable(type(error).__name__, str(error)))
        return EXIT_UNAVAILABLE
    except ImportError as error:
        _say(channel, Unavailable("MissingDependencyError", f"{sys.executable}: {error}"))
        return EXIT_UNAVAILABLE
    logger = logging.getLogger("backpack")
    logger.addHandler(ChannelHandler(channel))
    logger.propagate = False
    version = ".".join(map(str, sys.version_info[:3]))
    _say(channel, Ready(PROTOCOL_VERSION, version, f"GStreamer {gstreamer_version()}"))
    Streamer(channel, _set_alarm).run()
    channel.close()
    logging.shutdown()
    # GStreamer's own threads have nothing left to do, and destructors of
    # drivers are where processes hang.
    os._exit(0)


def _set_alarm(seconds: float) -> None:
    """Whatever hangs at the end (a driver, a TLS handshake) is not waited for."""
    signal.alarm(math.ceil(seconds + HANG_SECONDS))


def _say(channel: Channel, message: Message) -> None:
    try:
        channel.send(message)
    except ChannelClosed:
        logging.getLogger("backpack").debug("The application has gone.")
