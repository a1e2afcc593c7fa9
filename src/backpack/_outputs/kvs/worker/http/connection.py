"""Keep one connection to a host, from its name to its last byte, without ever waiting."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backpack._outputs.kvs.shared.proxy import Route
from backpack._outputs.kvs.worker.http.dial import Dial
from backpack._outputs.kvs.worker.http.errors import (
    CLOSED,
    NO_CONNECTION,
    NO_NAME,
    NO_PROGRESS,
    cause_of,
    sentence_of,
)
from backpack._outputs.kvs.worker.http.reactor import READ, WRITE
from backpack._outputs.kvs.worker.http.resolver import Resolver
from backpack._outputs.kvs.worker.http.tls import Secure, make_context
from backpack._outputs.kvs.worker.http.tunnel import Tunnel, TunnelError, unreached
from backpack.errors import SettingsError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from backpack._outputs.kvs.shared.proxy import Proxy
    from backpack._outputs.kvs.worker.http.reactor import Reactor
    from backpack._outputs.kvs.worker.http.resolver import Address, Lookup

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

RECEIVE_BYTES = 64 * 1024


class Network:
    """
    What all connections of a thread share.

    Args:
        reactor: The thread's.
        clock: Monotonic seconds.
        ca_bundle: See `tls.make_context`.
        lookup: See `Resolver`.
        route: Which hosts are reached through a proxy.

    """

    def __init__(
        self,
        reactor: Reactor,
        clock: Callable[[], float],
        *,
        ca_bundle: str | None = None,
        lookup: Lookup | None = None,
        route: Route | None = None,
    ) -> None:
        self._route = route or Route()
        self.reactor = reactor
        self.clock = clock
        self.resolver = Resolver(reactor.post, *(() if lookup is None else (lookup,)))
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
            self._context = make_context(self._ca_bundle)
        return self._context


class Connection:
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
        self._reactor = network.reactor
        self._host = parts.hostname or ""
        self._is_secure = parts.scheme == "https"
        self._on_data = on_data
        self._on_end = on_end
        self._closed = False
        self._dial: Dial | None = None
        self._sock: socket.socket | None = None
        self._secure: Secure | None = None
        # What has a proxy connect, until it has.
        self._tunnel: Tunnel | None = None
        # What is to be encrypted, and sent, as soon as that is possible.
        self._early = b""
        # What the kernel has not taken yet.
        self._unsent = memoryview(b"")
        self._is_writing = False
        # What sending has met.
        self._error: OSError | None = None
        # Bytes that it has taken.
        self.handed = 0
        # Acknowledged bytes when they were last seen to have grown.
        self._seen = 0
        self._moved_at = 0.0
        self._deadline: float | None = network.clock() + CONNECT_SECONDS
        self._port = parts.port or (443 if self._is_secure else 80)
        # What is not encrypted stays on this machine.
        self._proxy = network.proxy_for(self._host, self._port) if self._is_secure else None
        place = (self._host, self._port) if self._proxy is None else self._proxy.place
        network.resolver.resolve(*place, self._resolved)

    # What the owner does.

    def send(self, data: bytes) -> None:
        """Send something; what the kernel does not take at once is kept."""
        if not self.is_open:
            self._early += data
        elif self._secure is None:
            self._write(data)
        else:
            self._secure.seal(data)
            self._write(self._secure.outgoing())

    @property
    def blocked(self) -> bool:
        """Whether something waits to be sent, so that more would only pile up."""
        return bool(self._unsent or self._early)

    @property
    def is_open(self) -> bool:
        """Whether it can carry something."""
        if self._sock is None or not self._is_secure:
            return self._sock is not None
        return self._secure is not None and self._secure.ready

    @property
    def acknowledged(self) -> int:
        """How many bytes the far side's kernel has acknowledged. Asks our own."""
        if self._sock is None:
            return self.handed
        # tcp(7), SIOCOUTQ: what waits here, or is under way.
        waiting = fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4))
        return self.handed - int(struct.unpack("i", waiting)[0])

    @property
    def wake_at(self) -> float | None:
        """When to call `tick`. None: not before something comes."""
        times = (self._deadline, None if self._dial is None else self._dial.wake_at)
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what it is time for."""
        if self._dial is not None:
            self._dial.tick(now)
        if self._deadline is None or now < self._deadline:
            return
        if not self.is_open:
            self._end(NO_CONNECTION)
        else:
            self._look(now)

    def _look(self, now: float) -> None:
        """See whether what waits gets anywhere."""
        acknowledged = self.acknowledged
        if acknowledged > self._seen:
            self._seen, self._moved_at = acknowledged, now
        elif now - self._moved_at >= STALL_SECONDS:
            self._end(NO_PROGRESS)
            return
        self._deadline = now + LOOK_SECONDS

    def close(self) -> None:
        """Close it, whatever it is at; nothing is called any more. Idempotent."""
        self._closed = True
        self._deadline = None
        self._unsent = memoryview(b"")
        if self._dial is not None:
            self._dial.close()
            self._dial = None
        if self._sock is not None:
            self._reactor.forget(self._sock)
            self._sock.close()
            self._sock = None

    # What the network does.

    def _resolved(self, addresses: list[Address]) -> None:
        if self._closed:
            return
        if not addresses:
            self._end(NO_NAME)
            return
        self._dial = Dial(self._reactor, addresses, self._network.clock(), self._connected)

    def _connected(self, sock: socket.socket | None, cause: str) -> None:
        self._dial = None
        if sock is None:
            self._end(cause)
            return
        self._sock = sock
        # The kernel looks, while something is under way and not otherwise. (tcp(7))
        silent_ms = int(SILENT_SECONDS * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silent_ms)
        self._reactor.watch(sock, READ, self._ready)
        if not self._is_secure:
            self._opened()
            return
        self._deadline = self._network.clock() + CONNECT_SECONDS
        if self._proxy is None:
            self._greet()
            return
        self._tunnel = Tunnel(self._proxy, self._host, self._port)
        self._write(self._tunnel.request)

    def _greet(self) -> None:
        """Begin with TLS."""
        self._deadline = self._network.clock() + CONNECT_SECONDS
        try:
            self._secure = Secure(self._network.context(), self._host)
            self._secure.greet()
        except (OSError, ValueError) as error:
            # Not a server's name, or the file of authorities cannot be read.
            self._fail(error if isinstance(error, OSError) else OSError(str(error)))
            return
        self._write(self._secure.outgoing())

    def _opened(self) -> None:
        self._set_deadline()
        early, self._early = self._early, b""
        if early:
            self.send(early)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & READ:
            self._receive()

    def _receive(self) -> None:
        """Take what has come, all of it."""
        while self._sock is not None:
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(error)
                return
            if not data:
                # A socket tells an error once: after that a reset looks like an end.
                if self._error is not None:
                    self._fail(self._error)
                else:
                    self._end(CLOSED)
                return
            self._heard(data)
            if len(data) < RECEIVE_BYTES:
                return

    def _heard(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._ask_proxy(self._tunnel, data)
            return
        secure = self._secure
        if secure is None:
            self._on_data(data)
            return
        was_ready = secure.ready
        try:
            plain, last = secure.open(data)
        except OSError as error:
            # The far side may want to know why.
            self._try_last_word(secure.outgoing())
            self._fail(error)
            return
        self._write(secure.outgoing())
        if secure.ready and not was_ready and not self._closed:
            self._opened()
        if plain and not self._closed:
            self._on_data(plain)
        if last:
            self._end(CLOSED)

    def _ask_proxy(self, tunnel: Tunnel, data: bytes) -> None:
        try:
            if tunnel.feed(data):
                self._tunnel = None
                self._greet()
        except TunnelError as error:
            self._end(error.cause, error.sentence)

    def _try_last_word(self, data: bytes) -> None:
        if data and self._sock is not None and not self._unsent:
            with contextlib.suppress(OSError):
                self._sock.send(data)

    def _write(self, data: bytes) -> None:
        if self._sock is None or not data:
            return
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return
        self._unsent = memoryview(data)
        self._flush()

    def _flush(self) -> None:
        if self._sock is None or not self._unsent:
            return
        try:
            taken = self._sock.send(self._unsent)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._cut_off(error)
            return
        self.handed += taken
        self._unsent = self._unsent[taken:]
        if bool(self._unsent) is not self._is_writing:
            self._is_writing = bool(self._unsent)
            self._reactor.change(self._sock, READ | WRITE * self._is_writing, self._ready)
            self._set_deadline()

    def _set_deadline(self) -> None:
        """Mind the time while something waits to be sent; before it is open others do."""
        if self.is_open:
            now = self._network.clock()
            self._moved_at = now
            self._deadline = now + LOOK_SECONDS if self._is_writing else None

    def _cut_off(self, error: OSError) -> None:
        """End, but hear before what the far side has said: it may be why."""
        self._unsent = memoryview(b"")
        self._error = error
        self._receive()
        self._fail(error)

    def _fail(self, error: OSError) -> None:
        cause = cause_of(error)
        self._end(cause, sentence_of(cause, self._host, error))

    def _end(self, cause: str, sentence: str = "") -> None:
        if self._closed:
            return
        is_there = self._sock is not None and self._tunnel is None
        self.close()
        if self._proxy is not None and not sentence and not is_there:
            sentence = unreached(self._proxy, cause)
        self._on_end(cause, sentence or sentence_of(cause, self._host))
