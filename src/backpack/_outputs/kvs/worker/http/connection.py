"""Keep one connection to a host, from its name to its last byte, with asyncio's transports."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from backpack._outputs.kvs.shared.proxy import Route
from backpack._outputs.kvs.worker.http.dial import dial
from backpack._outputs.kvs.worker.http.errors import (
    CLOSED,
    NO_CONNECTION,
    NO_PROGRESS,
    cause_of,
    sentence_of,
)
from backpack._outputs.kvs.worker.http.resolver import Resolver
from backpack._outputs.kvs.worker.http.tunnel import Tunnel, TunnelError, unreached
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.shared.proxy import Proxy
    from backpack._outputs.kvs.worker.http.resolver import Lookup

CONNECT_SECONDS = 5.0
"""For a name and an address that answers; once more for a proxy's answer, and for TLS. AWS's
producer gives the same."""

SILENT_SECONDS = 6.0
"""For so long what was sent may go without an acknowledgement of the far side's kernel, which comes
within a round trip. A line that was cut says nothing else, and what waits piles up."""
STALL_SECONDS = 20.0
"""For so long the far side may take nothing of what waits for it."""
LOOK_SECONDS = 5.0
"""Between two looks at that; none while nothing waits."""

_BYTES_ACKED = struct.Struct("120xQ")
"""``tcpi_bytes_acked`` of ``struct tcp_info`` (linux/tcp.h, from Linux 4.1 on)."""


class Network:
    """
    What all connections of a thread share.

    Args:
        loop: The thread's.
        ca_bundle: A PEM file of authorities that stands in for the system's.
        lookup: See `Resolver`.
        route: Which hosts are reached through a proxy.
        changed: Called whenever a connection has something new for its owner,
            after the owner was called.

    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        ca_bundle: str | None = None,
        lookup: Lookup | None = None,
        route: Route | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.loop = loop
        self.changed = changed
        self.resolver = Resolver(loop, lookup)
        self._route = route or Route()
        self._ca_bundle = ca_bundle
        self._context: ssl.SSLContext | None = None

    def proxy_for(self, host: str, port: int) -> Proxy | None:
        """Return the proxy that leads to a host. It was looked at before there was a thread."""
        try:
            return self._route.proxy_for(host, port)
        except SettingsError:
            # It is not for the control plane, and so for nothing.
            return None

    def context(self) -> ssl.SSLContext:
        """Return the rules for TLS. Reading all authorities takes a while: once, if at all."""
        if self._context is None:
            context = ssl.create_default_context(cafile=self._ca_bundle)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            self._context = context
        return self._context


class Connection(asyncio.Protocol):
    """
    Find a host, connect, and carry bytes both ways at once.

    Args:
        network: The thread's.
        endpoint: ``https://host:port``, or ``http://``.
        on_data: Called with what has come.
        on_end: Called at most once, when the connection has ended without
            having been closed here: with a cause, always in the same words,
            and with a sentence for the operator where there is one to say.

    """

    def __init__(
        self,
        network: Network,
        endpoint: str,
        on_data: Callable[[bytes], None],
        on_end: Callable[[str, str], None],
    ) -> None:
        parts = urlsplit(endpoint)
        self._network = network
        self._loop = network.loop
        self._host = parts.hostname or ""
        self._is_secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_secure else 80)
        # What is not encrypted stays on this machine.
        self._proxy = network.proxy_for(self._host, self._port) if self._is_secure else None
        self._on_data = on_data
        self._on_end = on_end
        self._closed = False
        # Whether whoever was connected to is the host, and not a proxy that has not answered yet.
        self._is_there = False
        # The connection itself, and what is written to: the same unless there is TLS.
        self._line: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        # What is to be sent as soon as that is possible.
        self._early = b""
        self._is_paused = False
        # What the kernel told before anything was sent: it counts the handshake.
        self._acknowledged_first = 0
        # Acknowledged bytes when they were last seen to have grown.
        self._seen = 0
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer(CONNECT_SECONDS, self._give_up)
        self._opening = self._loop.create_task(self._open())

    # What the owner does.

    def send(self, data: bytes) -> None:
        """Send something; what the kernel does not take at once is kept."""
        if self._transport is not None:
            self._transport.write(data)
        elif not self._closed:
            self._early += data

    @property
    def blocked(self) -> bool:
        """Whether something waits to be sent, so that more would only pile up."""
        return self._is_paused or bool(self._early)

    @property
    def is_open(self) -> bool:
        """Whether it can carry something."""
        return self._transport is not None

    @property
    def acknowledged(self) -> int:
        """How many bytes the far side's kernel has acknowledged. Asks our own."""
        sock = self._socket
        if sock is None:
            return 0
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        return int(_BYTES_ACKED.unpack(told)[0]) - self._acknowledged_first

    @property
    def handed(self) -> int:
        """How many bytes the kernel has taken. Asks it."""
        sock = self._socket
        if sock is None:
            return 0
        acknowledged = self.acknowledged
        # tcp(7), SIOCOUTQ: what waits there, or is under way.
        waiting = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
        return acknowledged + int(struct.unpack("i", waiting)[0])

    def close(self) -> None:
        """Close it, whatever it is at; nothing is called any more. Idempotent."""
        self._closed = True
        self._early = b""
        self._opening.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for transport in (self._transport, self._line):
            if transport is not None:
                # Without the last word of TLS, which might be waited for.
                transport.abort()
        self._line = self._transport = None

    # How it is opened.

    async def _open(self) -> None:
        try:
            await self._connect()
        except TunnelError as error:
            self._end(error.cause, error.sentence)
        except (OSError, ValueError) as error:
            # ValueError: not a server's name.
            self._fail(error if isinstance(error, OSError) else OSError(str(error)))

    async def _connect(self) -> None:
        host, port = (self._host, self._port) if self._proxy is None else self._proxy.place
        tunnel = None if self._proxy is None else Tunnel(self._proxy, self._host, self._port)
        addresses = await self._network.resolver.addresses(host, port)
        sock = await dial(self._loop, addresses)
        made, _ = await self._loop.create_connection(
            lambda: tunnel or (asyncio.Protocol() if self._is_secure else self), sock=sock
        )
        line = self._line = made
        self._set_up(line)
        if tunnel is not None:
            self._set_timer(CONNECT_SECONDS, self._give_up)
            await tunnel.opened(self._loop, line)
        self._is_there = True
        if not self._is_secure:
            self._opened(line)
            return
        self._set_timer(CONNECT_SECONDS, self._give_up)
        secure = await self._loop.start_tls(
            line, self, self._network.context(), server_hostname=self._host
        )
        self._opened(cast("asyncio.Transport", secure))

    def _set_up(self, line: asyncio.Transport) -> None:
        line.set_write_buffer_limits(0)
        sock = line.get_extra_info("socket")
        # The kernel looks, while something is under way and not otherwise. (tcp(7))
        silent_ms = int(SILENT_SECONDS * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silent_ms)
        self._acknowledged_first = self.acknowledged

    def _opened(self, transport: asyncio.Transport) -> None:
        self._set_timer(None, self._look)
        self._transport = transport
        # With 0 one of TLS would be paused for good.
        transport.set_write_buffer_limits(high=int(self._is_secure), low=0)
        early, self._early = self._early, b""
        if early:
            transport.write(early)
        self._network.changed()

    def _give_up(self) -> None:
        self._end(NO_CONNECTION)

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        """Pass on what has come."""
        if not self._closed:
            self._on_data(data)
            self._network.changed()

    def eof_received(self) -> None:
        """End: a service that sends no more has nothing to answer."""
        self._end(CLOSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, with what has ended it."""
        if exc is None:
            self._end(CLOSED)
        else:
            self._fail(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def pause_writing(self) -> None:
        """Mind the time while something waits to be sent."""
        self._is_paused = True
        self._moved_at = self._loop.time()
        self._set_timer(LOOK_SECONDS, self._look)

    def resume_writing(self) -> None:
        """Nothing waits any more."""
        self._is_paused = False
        self._set_timer(None, self._look)
        self._network.changed()

    # How it ends.

    def _look(self) -> None:
        """See whether what waits gets anywhere."""
        now, acknowledged = self._loop.time(), self.acknowledged
        if acknowledged > self._seen:
            self._seen, self._moved_at = acknowledged, now
        elif now - self._moved_at >= STALL_SECONDS:
            self._end(NO_PROGRESS)
            return
        self._set_timer(LOOK_SECONDS, self._look)

    def _fail(self, error: OSError) -> None:
        cause = cause_of(error)
        is_of_proxy = self._proxy is not None and not self._is_there
        self._end(cause, "" if is_of_proxy else sentence_of(cause, self._host, error))

    def _end(self, cause: str, sentence: str = "") -> None:
        if self._closed:
            return
        self.close()
        if self._proxy is not None and not self._is_there and not sentence:
            sentence = unreached(self._proxy, cause)
        self._on_end(cause, sentence or sentence_of(cause, self._host))
        self._network.changed()

    def _set_timer(self, seconds: float | None, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, call)

    @property
    def _socket(self) -> socket.socket | None:
        if self._line is None:
            return None
        return cast("socket.socket", self._line.get_extra_info("socket"))
