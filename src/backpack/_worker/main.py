"""Run the streaming process: take orders from the application, tell it what happens."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from backpack._ipc.channel import Channel, ChannelClosed
from backpack._ipc.messages import (
    PROTOCOL_VERSION,
    Message,
    Ready,
    Unavailable,
)
from backpack._lib.shortage import explain
from backpack._worker.descriptors import raise_limit
from backpack._worker.logs import LogHandler
from backpack._worker.priority import step_behind
from backpack._worker.sandbox import is_wanted, lock_down
from backpack.errors import BackpackError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_UNAVAILABLE = 3
HANG_SECONDS = 2.0
"""How much longer than it may take the end is waited for."""


def main(arguments: Sequence[str]) -> int:
    """
    Run the streaming process.

    Args:
        arguments: The numbers of the descriptors of our ends of the channel and
            of the pulse, and of a copy of the application's standard error, if it
            has one.

    Returns:
        The exit status: 0 after an orderly end, 3 where this Python has no
        GStreamer.

    """
    step_behind()
    raise_limit()
    if is_wanted():
        lock_down()
    parent_pid = os.getppid()
    channel_fd, pulse_fd, *more = map(int, arguments)
    channel = Channel(socket.socket(fileno=channel_fd))
    pulse_sock = socket.socket(fileno=pulse_fd)
    # Nobody whom we start is to keep it open, or the next one.
    pulse_sock.set_inheritable(False)
    stderr = next(iter(more), None)
    if stderr is not None:
        os.set_inheritable(stderr, False)  # noqa: FBT003 - the standard library's own call
    handler = LogHandler(channel, stderr)
    try:
        # Only now: what is missing is told to the application.
        from backpack._gst.gi import gstreamer_version  # noqa: PLC0415
        from backpack._worker.pulse import Pulse, continue_after_app_exit  # noqa: PLC0415
        from backpack._worker.worker import Worker  # noqa: PLC0415

        continue_after_app_exit()
        pulse = Pulse(pulse_sock, parent_pid, on_app_exit=handler.on_app_exit)
        pulse.start()
    except (BackpackError, ImportError, OSError, RuntimeError, MemoryError) as error:
        missing = _explain(error)
        _say(channel, Unavailable(type(missing).__name__, str(missing)))
        return EXIT_UNAVAILABLE
    logger = logging.getLogger("backpack")
    logger.addHandler(handler)
    logger.propagate = False
    version = ".".join(map(str, sys.version_info[:3]))
    _say(channel, Ready(PROTOCOL_VERSION, version, f"GStreamer {gstreamer_version()}"))

    def on_ending(seconds: float) -> None:
        _set_alarm(seconds)
        pulse.note_end()

    Worker(channel, on_ending=on_ending, on_app_exit=handler.on_app_exit).run()
    pulse.close()
    channel.close()
    logging.shutdown()
    # GStreamer's own threads have nothing left to do, and destructors of
    # drivers are where processes hang.
    os._exit(0)


def _explain(error: Exception) -> BackpackError:
    """Return why this process cannot stream; raise what is a fault of ours."""
    try:
        return explain(error)
    except ImportError:
        return MissingDependencyError(f"{sys.executable}: {error}")


def _set_alarm(seconds: float) -> None:
    """Whatever hangs at the end (a driver, a TLS handshake) is not waited for."""
    signal.alarm(math.ceil(seconds + HANG_SECONDS))


def _say(channel: Channel, message: Message) -> None:
    try:
        channel.send(message)
    except ChannelClosed:
        logging.getLogger("backpack").debug("The application has gone.")
