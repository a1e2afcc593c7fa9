"""Limits of web connections: how many there may be, and how long a head may take."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from backpack._outputs.serving.worker.connections import ConnectionLimits, Connections

if TYPE_CHECKING:
    import ssl

    from backpack._outputs.serving.worker.connections import Connection
    from backpack._outputs.web.worker.aio import aiohttp, web


@dataclass(frozen=True)
class Limits:
    """
    What one connection, one address and all together may take.

    Attributes:
        connections: How many there may be.
        head_seconds: Until the head of a request is there, and until a TLS
            handshake is through. Connections count from the beginning of it.
        stuck_seconds: Until a connection ends that takes nothing of what waits
            to be sent. The kernel counts: also where aiohttp has closed it.
        head_bytes: Of a request's head.
        ahead_bytes: Of further requests while one is answered. Each of them
            takes many times its length in memory, and nothing else stops them.
        requests: On one connection, which is closed then, as by other servers.
        send_buffer_bytes: Of the kernel, for a connection. Small: what lies in
            there can no longer be skipped.

    """

    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    head_seconds: float = 10.0
    stuck_seconds: float = 20.0
    head_bytes: int = 64 * 1024
    ahead_bytes: int = 16 * 1024
    requests: int = 1000
    send_buffer_bytes: int = 128 * 1024


class ConnectionLimiter:
    """
    Count the connections of one server. Asyncio's thread only.

    Args:
        limits: What is allowed.

    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._connections = Connections(limits.connections)
        # By the identity of aiohttp's protocol, which a request knows.
        self._limiter: dict[int, ConnectionGuard] = {}

    def guard_of(self, request: web.BaseRequest) -> ConnectionGuard | None:
        """Return the guard that a request came in by; None: its connection is gone."""
        return self._limiter.get(id(request.protocol))

    def enter(
        self, guard: ConnectionGuard, inner: asyncio.Protocol, address: str
    ) -> Connection | None:
        """Count a connection in. None: there are too many."""
        connection = self._connections.admit(address, guard.abort)
        if connection is not None:
            self._limiter[id(inner)] = guard
        return connection

    def leave(self, inner: asyncio.Protocol) -> None:
        """Forget a connection. Idempotent."""
        self._limiter.pop(id(inner), None)

    def abort_all(self) -> None:
        """Cut every connection."""
        for guard in list(self._limiter.values()):
            guard.abort()


class ConnectionGuard(asyncio.Protocol):
    """
    Stand between one connection and aiohttp, which does not mind slow heads.

    Args:
        limiter: Counts the connections.
        inner: aiohttp's protocol of this connection.
        context: For TLS. None: without.

    """

    def __init__(
        self,
        limiter: ConnectionLimiter,
        inner: asyncio.Protocol,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._limiter = limiter
        self._inner = inner
        self._context = context
        # Whether aiohttp knows of the connection.
        self._is_open = False
        # Below TLS: that of TLS cannot be cut any more once it was closed twice, as by
        # aiohttp (Python 3.11).
        self._transport: asyncio.Transport | None = None
        # Kept: asyncio itself holds its tasks but weakly.
        self._handshake: asyncio.Task[None] | None = None
        # What came in one piece with the end of the handshake, before asyncio has told of that.
        self._early = b""
        # None: it was not let in.
        self._connection: Connection | None = None
        # Runs while a head is awaited, or has begun to come.
        self._timer: asyncio.TimerHandle | None = None
        # What came and belongs to no request that has begun: a head that is not
        # complete, and requests that wait in aiohttp for their turn.
        self._ahead_bytes = 0
        self._is_busy = False
        self._is_upgraded = False
        self._requests = 0
        # Of the newest request.
        self._body: aiohttp.StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a connection in, or cut it."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        self._connection = self._limiter.enter(self, self._inner, address)
        if self._connection is None:
            self._transport.abort()
            return
        self._prepare(transport.get_extra_info("socket"))
        self._await_head()
        if self._context is None:
            self._open(self._transport)
        else:
            # Not by asyncio's server: it tells of a connection when its handshake is
            # through, and so of none that waits with it.
            self._handshake = asyncio.create_task(self._secure(self._transport, self._context))

    def _prepare(self, sock: socket.socket) -> None:
        limits = self._limiter.limits
        stuck_ms = round(limits.stuck_seconds * 1000)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.send_buffer_bytes)
            # tcp(7): also for a window of zero, which keepalive would wait at for ever.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stuck_ms)

    async def _secure(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        limits, loop = self._limiter.limits, asyncio.get_running_loop()
        secure: asyncio.Transport | None = None
        # What a connection that ends meanwhile raises differs by Python's version; some give None.
        with contextlib.suppress(OSError, RuntimeError):
            secure = await loop.start_tls(
                transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=limits.head_seconds,
            )
        if secure is None or transport.is_closing():
            transport.abort()
            self._leave()
            return
        self._open(secure)

    def _open(self, transport: asyncio.Transport) -> None:
        self._is_open = True
        self._inner.connection_made(transport)
        early, self._early = self._early, b""
        if early:
            self._pass_on(early)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, unless it is too much for a head."""
        body = self._body
        if self._is_upgraded:
            self._pass_on(data)
        elif body is not None and not body.is_eof():
            # aiohttp stops reading where a body comes faster than it is wanted. The
            # head of the next request may come in one piece with the end.
            before = body.total_bytes
            self._pass_on(data)
            self._count(len(data) - (body.total_bytes - before))
        elif self._count(len(data)):
            if self._timer is None and not self._is_busy:
                self._await_head()
            self._pass_on(data)

    def eof_received(self) -> bool | None:
        """Pass on that nothing more will come."""
        return self._inner.eof_received() if self._is_open else None

    def pause_writing(self) -> None:
        """Pass on that the other side takes no more for now."""
        if self._is_open:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the other side takes more again."""
        if self._is_open:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        self._leave()
        if self._is_open:
            self._is_open = False
            self._inner.connection_lost(exc)

    def _leave(self) -> None:
        self._stop_timer()
        if self._connection is not None:
            self._connection.is_closed = True
        self._limiter.leave(self._inner)

    def begin(self, request: web.BaseRequest) -> None:
        """Called when the head of a request is there, and its answer is made."""
        self._stop_timer()
        self._is_busy = True
        if self._connection is not None:
            self._connection.begin()
        self._requests += 1
        self._body = request.content
        # Of the body what has come by now.
        own = _head_bytes(request) + request.content.total_bytes
        self._ahead_bytes = max(0, self._ahead_bytes - own)
        self._count(0)

    def done(self) -> None:
        """Called when a request is answered: the next head may come. How long, aiohttp knows."""
        self._is_busy = False
        if self._connection is not None:
            self._connection.end()

    @property
    def is_last(self) -> bool:
        """
        Whether the connection should end with this request.

        What is known of the size of requests is true but for the odd blank, and
        the blanks of all of them would add up.
        """
        return self._requests >= self._limiter.limits.requests

    def upgraded(self) -> None:
        """Called when no more requests come but messages, whose sizes aiohttp limits."""
        self._is_upgraded = True

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _pass_on(self, data: bytes) -> None:
        if not self._is_open:
            self._early += data
            return
        try:
            self._inner.data_received(data)
        except ValueError:
            # An address that is none, to aiohttp 3.8; asyncio would log a traceback.
            self.abort()

    def _count(self, size: int) -> bool:
        """Count what came, and tell whether that may be; else the connection is cut."""
        self._ahead_bytes += size
        limits = self._limiter.limits
        if self._ahead_bytes <= (limits.ahead_bytes if self._is_busy else limits.head_bytes):
            return True
        self.abort()
        return False

    def _await_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limiter.limits.head_seconds, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _head_bytes(request: web.BaseRequest) -> int:
    """Return how long a request's head was, as nearly every client writes it."""
    line = f"{request.method} {request.raw_path} HTTP/1.1\r\n"
    return len(line) + sum(len(name) + len(value) + 4 for name, value in request.raw_headers) + 2
