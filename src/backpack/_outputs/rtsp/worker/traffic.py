"""Read from a client's socket what went through it, and decide whether the far side reads."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from backpack._gst.gi import Gio

STALLED_NS = 5_000_000_000
"""A TCP client that acknowledges nothing for so long, while data waits, has stopped reading."""

# tcpi_state, tcpi_bytes_acked and tcpi_bytes_received in Linux' struct tcp_info
# (linux/tcp.h, since 4.1), and TCP_ESTABLISHED.
_TCP_INFO = struct.Struct("=B119xQQ")
_ESTABLISHED = 1
_SIOCOUTQ = 0x5411


@dataclass
class SendBuffer:
    """
    Judge by what the far side acknowledges whether it still reads.

    Reads no clock and no socket: the sweep tells it both.

    Attributes:
        acknowledged: Bytes acknowledged when last told.
        since_ns: When that number last grew, or nothing waited.

    """

    acknowledged: int = -1
    since_ns: int = 0

    def stalled(self, now_ns: int, *, acknowledged: int, waiting: int) -> bool:
        """
        Decide whether the far side has stopped reading.

        Args:
            now_ns: Monotonic time.
            acknowledged: Bytes acknowledged since the connection was made.
            waiting: Bytes sent or to be sent, but not acknowledged.

        """
        if acknowledged != self.acknowledged or waiting == 0:
            self.acknowledged = acknowledged
            self.since_ns = now_ns
        return now_ns - self.since_ns > STALLED_NS


class Traffic(NamedTuple):
    """
    What has gone through a connection.

    Attributes:
        acknowledged: Bytes sent that the far side has acknowledged.
        received: Bytes received.
        waiting: Bytes sent or to be sent, but not acknowledged.
        is_whole: Whether neither side has ended it.

    """

    acknowledged: int
    received: int
    waiting: int
    is_whole: bool


def traffic_of(connected: Gio.Socket | None) -> Traffic | None:
    """Return what has gone through a socket, or None where it is closed."""
    if connected is None or connected.is_closed():
        return None
    try:
        # A copy of the descriptor: closing ours must not close the server's.
        with socket.socket(fileno=os.dup(connected.get_fd())) as copy:
            raw = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            waiting = fcntl.ioctl(copy.fileno(), _SIOCOUTQ, bytes(4))
    except OSError:
        # Closed meanwhile, by the client's own thread.
        return None
    if len(raw) < _TCP_INFO.size:
        return None
    state, acknowledged, received = _TCP_INFO.unpack_from(raw)
    return Traffic(
        acknowledged, received, int.from_bytes(waiting, sys.byteorder), state == _ESTABLISHED
    )
