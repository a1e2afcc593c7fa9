"""Accept RTSP connections, and hand those that may stay to GStreamer's server."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from backpack._gst.gi import Gio, GLib
from backpack._outputs.serving.worker.connections import ConnectionLimits, Connections

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from backpack._gst.rtsp import GstRtspServer
    from backpack._outputs.serving.worker.connections import Connection

LIMITS: Final = ConnectionLimits()
SECURE_LIMITS: Final = ConnectionLimits(descriptors=3)
"""With the two by which the decrypted part is passed on."""

SEND_BUFFER_BYTES: Final = 256 * 1024
"""Of a client's socket. Left alone, the kernel's may hold 4 MB: 13 s of video to be late by."""

RECEIVE_BUFFER_BYTES: Final = 32 * 1024
"""Of a client's socket. Left alone, the kernel's may take 6 MB of what a client sends."""

ACCEPTED_AT_ONCE: Final = 32
"""Between two turns of the main loop, so that others have theirs."""

_SHORT: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
RETRY_MS: Final = 1000

logger = logging.getLogger(__name__)


class Door:
    """
    Accept connections on a socket. Main thread only.

    GStreamer's server could do it, but counts nothing.

    Args:
        sock: It listens, and is closed with this.
        server: Where the connections go.
        context: For TLS. None: without.
        limits: How many there may be.

    """

    def __init__(
        self,
        sock: socket.socket,
        server: GstRtspServer.RTSPServer,
        context: ssl.SSLContext | None,
        limits: ConnectionLimits,
    ) -> None:
        self._sock = sock
        self._server = server
        self._connections = Connections(limits)
        self._decryptor = None
        if context is not None:
            from backpack._outputs.rtsp.worker.tls import Decryptor  # noqa: PLC0415 - asyncio takes 40 ms to load

            self._decryptor = Decryptor(context)
        # What `claim` gives out: the connection that is being handed over.
        self._arriving: Connection | None = None
        self._is_open = True
        self._watch = 0
        self._retry = 0
        self._listen()

    @property
    def port(self) -> int:
        """The bound port."""
        port: int = self._sock.getsockname()[1]
        return port

    def claim(self) -> Connection | None:
        """Return the connection whose client GStreamer's server has just made."""
        arriving, self._arriving = self._arriving, None
        return arriving

    def close(self) -> None:
        """Accept no more, and cut what is still shaking hands. The port is free then."""
        self._is_open = False
        for source in (self._watch, self._retry):
            if source:
                GLib.source_remove(source)
        self._watch = self._retry = 0
        self._sock.close()

    def cut(self) -> None:
        """End all connections that there still are."""
        self._connections.close_all()
        if self._decryptor is not None:
            self._decryptor.close()
            self._decryptor = None

    def _listen(self) -> None:
        fd = self._sock.fileno()
        readable = GLib.IOCondition.IN
        # PyGObject takes a descriptor as well.
        self._watch = GLib.io_add_watch(
            fd,  # type: ignore[arg-type]
            GLib.PRIORITY_DEFAULT,
            readable,
            self._on_readable,
        )

    def _on_readable(self, *_: object) -> bool:
        for _turn in range(ACCEPTED_AT_ONCE):
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _SHORT:
                    continue  # gone before it was accepted
                logger.warning("Cannot accept RTSP connections: %s. Trying again.", error.strerror)
                self._retry = GLib.timeout_add(RETRY_MS, self._on_retry)
                self._watch = 0
                return GLib.SOURCE_REMOVE
            self._admit(sock, peer)
        return GLib.SOURCE_CONTINUE

    def _on_retry(self) -> bool:
        self._retry = 0
        self._listen()
        return GLib.SOURCE_REMOVE

    def _admit(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        connected = _Connected(sock)
        connection = self._connections.admit(peer[0], connected.shut_down)
        if connection is None:
            sock.close()
            return
        sock.setblocking(False)  # noqa: FBT003 - its own call
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._decryptor is None:
            self._hand_over(connected.hand_over(), peer, connection)
            return

        def hand_over(decrypted: socket.socket | None) -> None:
            # Asyncio's thread.
            if decrypted is None:
                connection.is_closed = True
            else:
                GLib.idle_add(self._on_decrypted, decrypted, peer, connection)

        self._decryptor.take(sock, hand_over)

    def _on_decrypted(
        self, sock: socket.socket, peer: tuple[str, int], connection: Connection
    ) -> bool:
        if self._is_open:
            self._hand_over(Gio.Socket.new_from_fd(sock.detach()), peer, connection)
        else:
            sock.close()
        return GLib.SOURCE_REMOVE

    def _hand_over(self, sock: Gio.Socket, peer: tuple[str, int], connection: Connection) -> None:
        self._arriving = connection
        self._server.transfer_connection(sock, peer[0], peer[1], None)
        if self.claim() is not None:
            # Gone already: no client was made of it.
            connection.is_closed = True


class _Connected:
    """A client's socket, which changes its owner."""

    def __init__(self, sock: socket.socket) -> None:
        self._accepted = sock
        self._handed_over: Callable[[], Any] = lambda: None

    def hand_over(self) -> Gio.Socket:
        """Return the socket, which is the caller's from then on."""
        given = Gio.Socket.new_from_fd(self._accepted.detach())
        # Weakly: GStreamer's server closes a connection by dropping its socket.
        self._handed_over = given.weak_ref()
        return given

    def shut_down(self) -> None:
        """
        End the connection, whoever has the socket. Any thread.

        Its owner then reads an end of file. What is closed already stays so.
        """
        given: Gio.Socket | None = self._handed_over()
        with contextlib.suppress(OSError, GLib.Error):
            if given is not None:
                given.shutdown(shutdown_read=True, shutdown_write=True)
            elif self._accepted.fileno() >= 0:
                self._accepted.shutdown(socket.SHUT_RDWR)
