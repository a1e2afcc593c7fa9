"""Decide which clients are gone though they have not said so, and close them."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backpack._gst.gi import GLib
from backpack._gst.rtsp import GstRtsp, GstRtspServer
from backpack._outputs.rtsp.worker.shares import Shares
from backpack._outputs.rtsp.worker.traffic import SendBuffer, traffic_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import Gio
    from backpack._outputs.rtsp.worker.mount import Mount
    from backpack._outputs.serving.worker.connections import Connection as Counted

SESSION_TIMEOUT_SECONDS = 25
"""Announced to clients. Players say that they live at half of it, or by RTCP every 5 s."""

AFTER_SESSION_SECONDS = 5

IDLE_NS = 60_000_000_000
"""A connection without a session is closed after this. Players set theirs up within one."""

SWEEP_MS = 1000

COUNT_MS = 100
"""How often the bytes are counted that a young client sends, or one through a tunnel."""

YOUNG_NS = 5_000_000_000

RECEIVED_BYTES = 256 * 1024
RECEIVED_BYTES_A_SECOND = 1024
"""What a client may send: some requests, and RTCP. The server's parser keeps
header lines without a bound, at several MB/s."""

SENT_TOO_MUCH = "sent more than a player does"

logger = logging.getLogger(__name__)


@dataclass(eq=False)
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
    # What it was last told about. Written by the client's thread.
    described: Callable[[], GstRtspServer.RTSPMedia | None] = lambda: None
    # Whether the last sweep found that nothing is sent to it any more.
    suspected: bool = False
    # Whether its requests are another client's. RTSP is tunnelled through HTTP by a GET, which
    # carries the answers, and a POST: the server frees the POST's client, and the GET's takes
    # its connection over.
    is_tunnel: bool = False
    # Whether it was hung up on.
    is_cut: bool = False


class ClientMonitor:
    """
    Watch the clients of one server, once a second while there are any.

    What they send is counted ten times a second while they are young, or come through a
    tunnel: those are the ways of a flood, and there are never many of them. Without clients
    there is no timer: an unwatched server wakes up never.
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
        self._count_timer = 0

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
        self._count_soon()

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
        for timer in (self._timer, self._count_timer):
            if timer:
                GLib.source_remove(timer)
        self._timer = self._count_timer = 0
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
        self._forget_gone()
        for connection in self._connections:
            _cut(connection, _why_gone(connection, now_ns))
        if any(one.is_tunnel for one in self._connections):
            self._count_soon()
        for mount in self._mounts():
            mount.sweep(now_ns)
        if self._connections or self._pool.get_n_sessions():
            return True
        self._timer = 0
        return False

    def _forget_gone(self) -> None:
        gone = [one for one in self._connections if one.client() is None]
        for one in gone:
            traffic = None if one.is_cut else traffic_of(one.socket)
            one.is_tunnel = traffic is not None and traffic.is_whole
        if any(one.is_tunnel for one in gone):
            tunnels = [_tunnel_of(one) for one in self._connections if not one.is_cut]
            for one in gone:
                one.is_tunnel = one.is_tunnel and one.socket in tunnels
        self._connections = [one for one in self._connections if one not in gone or one.is_tunnel]

    def _count_soon(self) -> None:
        if self._count_timer == 0:
            self._count_timer = GLib.timeout_add(COUNT_MS, self._count)

    def _count(self) -> bool:
        now_ns = self._clock_ns()
        close = [
            one
            for one in self._connections
            if now_ns - one.connected_ns < YOUNG_NS or one.is_tunnel
        ]
        for connection in close:
            if connection.is_cut or not _sent_too_much(connection, now_ns):
                continue
            for other in self._connections:
                if not other.is_cut and _tunnel_of(other) is connection.socket:
                    _cut(other, SENT_TOO_MUCH)
            _cut(connection, SENT_TOO_MUCH)
        if close:
            return True
        self._count_timer = 0
        return False


def allowed_bytes(seconds: float) -> int:
    """Return how much a client may have sent, so long after it connected."""
    return RECEIVED_BYTES + int(RECEIVED_BYTES_A_SECOND * seconds)


def _why_gone(connection: _Connection, now_ns: int) -> str | None:
    client = connection.client()
    if client is None:
        return None
    traffic = traffic_of(connection.socket)
    if traffic is not None and connection.buffer.stalled(
        now_ns, acknowledged=traffic.acknowledged, waiting=traffic.waiting
    ):
        return "stopped reading"
    if _sent_too_much(connection, now_ns):
        return SENT_TOO_MUCH
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


def _sent_too_much(connection: _Connection, now_ns: int) -> bool:
    traffic = traffic_of(connection.socket)
    seconds = (now_ns - connection.connected_ns) / 1e9
    return traffic is not None and traffic.received > allowed_bytes(seconds)


def _cut(connection: _Connection, reason: str | None) -> None:
    """Hang up on a client if there is a reason to, and not twice."""
    if reason is not None and not connection.is_cut:
        logger.info("Closed an RTSP client: it %s.", reason)
        _hang_up(connection)


def _hang_up(connection: _Connection) -> None:
    """
    End a client's connection, from whatever thread.

    Its own thread then reads an end of file and takes everything down. To call
    RTSPClient.close from here would pull the connection from under a thread
    that may be reading from it: GStreamer 1.22 then spins for ever.
    """
    if connection.is_cut:
        return
    connection.is_cut = True
    for one in (connection.socket, _tunnel_of(connection)):
        if one is not None:
            # An error says that it is closed already.
            with contextlib.suppress(GLib.Error):
                one.shutdown(shutdown_read=True, shutdown_write=True)


def _socket_of(client: GstRtspServer.RTSPClient) -> Gio.Socket | None:
    connection = client.get_connection()
    return None if connection is None else connection.get_write_socket()


def _tunnel_of(connection: _Connection) -> Gio.Socket | None:
    """Return the connection by which a client's requests come, where it is not its own."""
    client = connection.client()
    tunnelled = None if client is None else client.get_connection()
    if tunnelled is None or not tunnelled.is_tunneled():
        return None
    answers = traffic_of(connection.socket)
    # Of the two connections of a tunnel the one that never sends has lost its socket to the
    # other one, and GStreamer complains where it is asked for it.
    if answers is None or not answers.acknowledged + answers.waiting:
        return None
    requests = tunnelled.get_read_socket()
    return None if requests is connection.socket else requests


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
