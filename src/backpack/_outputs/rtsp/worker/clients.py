"""Decide which clients are gone though they have not said so, and close them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backpack._gst.gi import GLib
from backpack._gst.rtsp import GstRtsp, GstRtspServer
from backpack._outputs.rtsp.worker.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import Gio
    from backpack._outputs.rtsp.worker.mount import Mount
    from backpack._outputs.serving.worker.connections import Connection as Counted

SESSION_TIMEOUT_SECONDS = 25
"""Announced to clients. Players say that they live at half of it, or by RTCP every 5 s."""

AFTER_SESSION_SECONDS = 5

STALLED_NS = 5_000_000_000
"""A TCP client that acknowledges nothing for so long, while data waits, has stopped reading."""

IDLE_NS = 60_000_000_000
"""A connection without a session is closed after this. Players set theirs up within one."""

SWEEP_MS = 1000

RECEIVED_BYTES = 256 * 1024
RECEIVED_BYTES_A_SECOND = 1024
"""What a client may send: some requests, and RTCP. The server's parser keeps
header lines without a bound."""

# tcpi_bytes_acked and tcpi_bytes_received in Linux' struct tcp_info
# (linux/tcp.h, since 4.1).
_TCP_INFO = struct.Struct("=120xQQ")
_SIOCOUTQ = 0x5411

logger = logging.getLogger(__name__)


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


@dataclass
class _Connection:
    """
    What is known of one client. Main thread only.

    Clients and media are referred to weakly: whoever drops the last reference
    frees them, and takes a media down. On the main thread that would meet the next
    client's request for the same media on the clients' thread, which is then
    refused with 503, and would keep UDP ports in use until the next sweep.
    """

    client: Callable[[], GstRtspServer.RTSPClient | None]
    counted: Counted
    socket: Gio.Socket | None
    buffer: SendBuffer
    connected_ns: int
    # Since when it has had no session.
    idle_since_ns: int
    # The connection that its requests come by, where it is tunnelled through HTTP: the other one
    # then only carries answers.
    tunnel: Gio.Socket | None = None
    # What it was last told about. Written by the client's thread.
    described: Callable[[], GstRtspServer.RTSPMedia | None] = lambda: None
    # Whether the last sweep found that nothing is sent to it any more.
    suspected: bool = False


class ClientMonitor:
    """
    Watch the clients of one server, once a second while there are any.

    Without clients there is no timer: an unwatched server wakes up never.
    Main thread only.

    Args:
        server: The server.
        mounts: Gives its mounts.
        clock_ns: The monotonic clock.
        max_viewers: How many monitor there may be.

    """

    def __init__(
        self,
        server: GstRtspServer.RTSPServer,
        mounts: Callable[[], list[Mount]],
        clock_ns: Callable[[], int],
        max_viewers: int,
    ) -> None:
        self._server = server
        self._pool = GstRtspServer.RTSPSessionPool.new()
        self._pool.set_max_sessions(max_viewers)
        self._shares = Shares(max_viewers)
        self._pool.connect("session-removed", self._on_session_removed)
        server.set_session_pool(self._pool)
        self._mounts = mounts
        self._clock_ns = clock_ns
        self._connections: list[_Connection] = []
        self._timer = 0

    def add(self, client: GstRtspServer.RTSPClient, counted: Counted) -> None:
        """Watch a client that has just connected, by a connection that is counted."""
        # The connection goes with its session: half a client helps nobody. Not
        # at once: who is refused UDP tries TCP next, on the same connection.
        client.set_property("post-session-timeout", AFTER_SESSION_SECONDS)
        client.connect("pre-setup-request", self._on_setup, counted)
        client.connect("new-session", self._on_new_session, counted)
        client.connect("closed", self._on_closed, counted)
        now_ns = self._clock_ns()
        self._connections.append(
            _Connection(
                _weakly(client),
                counted,
                _socket_of(client),
                SendBuffer(since_ns=now_ns),
                now_ns,
                now_ns,
            )
        )
        if self._timer == 0:
            self._timer = GLib.timeout_add(SWEEP_MS, self._sweep)

    def _on_setup(
        self, _client: GstRtspServer.RTSPClient, context: GstRtspServer.RTSPContext, one: Counted
    ) -> GstRtsp.RTSPStatusCode:
        # Client's thread.
        held: object | None = context.session
        if held is None and not self._shares.has_room(one.address, id(one)):
            return GstRtsp.RTSPStatusCode.SERVICE_UNAVAILABLE
        return GstRtsp.RTSPStatusCode.OK

    def _on_new_session(
        self, _client: GstRtspServer.RTSPClient, session: GstRtspServer.RTSPSession, one: Counted
    ) -> None:
        # Client's thread, before the answer that announces it.
        session.set_timeout(SESSION_TIMEOUT_SECONDS)
        one.begin()
        self._shares.add(str(session.get_sessionid()), one.address, id(one))

    def _on_closed(self, _client: GstRtspServer.RTSPClient, one: Counted) -> None:
        # Client's thread. Its media may be taken down here, and on no other.
        one.is_closed = True
        for number in self._shares.sessions_of(id(one)):
            session = self._pool.find(number)
            if session is not None and not session.filter(None):
                # The server has taken its media down, and would keep its number, and so the
                # place of a viewer, until its time is over.
                self._pool.remove(session)

    def _on_session_removed(
        self, _pool: GstRtspServer.RTSPSessionPool, session: GstRtspServer.RTSPSession
    ) -> None:
        # Client's thread, or the sweep's.
        self._shares.remove(str(session.get_sessionid()))

    def note_described(
        self, client: GstRtspServer.RTSPClient, media: GstRtspServer.RTSPMedia
    ) -> None:
        """Remember which media a client was told about. Client's thread."""
        for connection in self._connections:
            if connection.client() == client:
                connection.described = _weakly(media)

    def close_viewers_of(self, is_theirs: Callable[[GstRtspServer.RTSPMedia | None], bool]) -> None:
        """Close the connections of everybody who watches such a media, or is about to."""
        for connection in list(self._connections):
            client = connection.client()
            media = [] if client is None else _session_media(client)
            watched = [one.get_media() for one in media]
            if any(is_theirs(one) for one in (*watched, connection.described())):
                _hang_up(connection)

    def close(self) -> None:
        """Hang up on every client, and watch no more. Idempotent."""
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0
        for connection in self._connections:
            _hang_up(connection)
        self._connections = []

    @property
    def count(self) -> int:
        """How many clients the server still has."""
        return len(self._server.client_filter(None))

    def _sweep(self) -> bool:
        now_ns = self._clock_ns()
        self._pool.cleanup()
        self._connections = [one for one in self._connections if one.client() is not None]
        for connection in self._connections:
            reason = _why_gone(connection, now_ns)
            if reason is not None:
                logger.info("Closed an RTSP client: it %s.", reason)
                _hang_up(connection)
        for mount in self._mounts():
            mount.sweep(now_ns)
        if self._connections or self._pool.get_n_sessions():
            return True
        self._timer = 0
        return False


def allowed_bytes(seconds: float) -> int:
    """Return how much a client may have sent, so long after it connected."""
    return RECEIVED_BYTES + int(RECEIVED_BYTES_A_SECOND * seconds)


def _why_gone(connection: _Connection, now_ns: int) -> str | None:
    client = connection.client()
    if client is None:
        return None
    connection.tunnel = _tunnel_of(client, connection.socket)
    traffic = _traffic_of(connection.socket)
    if traffic is not None:
        acknowledged, received, waiting = traffic
        if connection.buffer.stalled(now_ns, acknowledged=acknowledged, waiting=waiting):
            return "stopped reading"
        sent = _traffic_of(connection.tunnel)
        received += 0 if sent is None else sent[1]
        if received > allowed_bytes((now_ns - connection.connected_ns) / 1e9):
            return "sent more than a player does"
    media = _session_media(client)
    if not media and not client.session_filter(None):
        connection.counted.end()
        if now_ns - connection.idle_since_ns > IDLE_NS:
            return "did not ask for anything"
        return None
    connection.idle_since_ns = now_ns
    # Once may be a client that is just leaving.
    before, connection.suspected = connection.suspected, any(_was_dropped(one) for one in media)
    return "was too slow for the stream" if before and connection.suspected else None


def _traffic_of(connected: Gio.Socket | None) -> tuple[int, int, int] | None:
    """Return the bytes that were acknowledged, were received, and wait to be acknowledged."""
    if connected is None or connected.is_closed():
        return None
    try:
        # A copy of the descriptor: closing ours must not close the server's.
        with socket.socket(fileno=os.dup(connected.get_fd())) as copy:
            raw = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            waiting = _waiting_bytes(copy)
    except OSError:
        # Closed meanwhile, by the client's own thread.
        return None
    if len(raw) < _TCP_INFO.size:
        return None
    acknowledged, received = _TCP_INFO.unpack_from(raw)
    return acknowledged, received, waiting


def _hang_up(connection: _Connection) -> None:
    """
    End a client's connection, from whatever thread.

    Its own thread then reads an end of file and takes everything down. To call
    RTSPClient.close from here would pull the connection from under a thread
    that may be reading from it: GStreamer 1.22 then spins for ever.
    """
    for one in (connection.socket, connection.tunnel):
        if one is not None:
            # An error says that it is closed already.
            with contextlib.suppress(GLib.Error):
                one.shutdown(shutdown_read=True, shutdown_write=True)


def _waiting_bytes(connected: socket.socket) -> int:
    answer = fcntl.ioctl(connected.fileno(), _SIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def _socket_of(client: GstRtspServer.RTSPClient) -> Gio.Socket | None:
    connection = client.get_connection()
    return None if connection is None else connection.get_write_socket()


def _tunnel_of(client: GstRtspServer.RTSPClient, answers: Gio.Socket | None) -> Gio.Socket | None:
    connection = client.get_connection()
    requests = None if connection is None else connection.get_read_socket()
    return None if requests is answers else requests


def _weakly(one: GstRtspServer.RTSPClient | GstRtspServer.RTSPMedia) -> Callable[[], Any]:
    """Return a function that returns the object, or None once it has been freed."""
    reference = one.weak_ref()

    def get() -> Any:  # noqa: ANN401 - either of the two
        try:
            return reference()
        except TypeError:
            # It is being freed at this moment, on its own thread: PyGObject finds no class for it.
            return None

    return get


def _session_media(client: GstRtspServer.RTSPClient) -> list[GstRtspServer.RTSPSessionMedia]:
    return [media for session in client.session_filter(None) for media in session.filter(None)]


def _was_dropped(media: GstRtspServer.RTSPSessionMedia) -> bool:
    """Return whether the server has silently stopped sending to a client that plays."""
    if media.get_rtsp_state() != GstRtsp.RTSPState.PLAYING:
        return False
    transport = media.get_transport(0)
    stream = None if transport is None else transport.get_stream()
    return stream is not None and transport not in stream.transport_filter(None)
