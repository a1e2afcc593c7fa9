"""Speak TLS with RTSP clients, and pass what they say on to GStreamer's server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Final

from backpack._lib.asyncio_thread import AsyncioThread
from backpack._lib.tcp import tcp_pair

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

HANDSHAKE_SECONDS: Final = 10.0

HANDSHAKES: Final = 64
"""That go on at a time. Beyond, the one that has gone on longest is cut."""

WAITING_BYTES: Final = 64 * 1024
"""That may wait in each of the buffers on the way. They add up: what waits there is late."""

_ENDED: Final = (OSError, RuntimeError, asyncio.TimeoutError)

logger = logging.getLogger(__name__)


class Decryptor:
    """
    End the TLS of RTSP connections before GStreamer's server sees them.

    The server would take a thread and 4 MB for each connection from the moment it
    is there, for as long as its handshake takes; and for the first few dozens of
    silent ones all others wait. Here a connection that has sent nothing costs a
    descriptor. All handshakes and all encryption are done by one thread.

    Args:
        context: Certificate and key.

    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._thread = AsyncioThread("spyglass-rtsps")
        # Kept: asyncio itself holds its tasks but weakly. The oldest first.
        self._handshakes: dict[asyncio.Task[socket.socket], None] = {}

    def take(self, sock: socket.socket, hand_over: Callable[[socket.socket | None], None]) -> None:
        """
        Take over a connection; the socket is ours from now on. Any thread.

        Args:
            sock: It does not block.
            hand_over: Takes the TCP socket of this machine on which the decrypted
                requests come in, and owns it from then on. None: the handshake
                failed. Called on the thread that does handshakes.

        """
        self._thread.call(self._begin, sock, hand_over)

    def close(self) -> None:
        """Cut every connection, and end the thread. Any other thread."""
        self._thread.close()

    def _begin(
        self, sock: socket.socket, hand_over: Callable[[socket.socket | None], None]
    ) -> None:
        if len(self._handshakes) >= HANDSHAKES:
            oldest = next(iter(self._handshakes))
            self._handshakes.pop(oldest)
            oldest.cancel()
        task = self._thread.loop.create_task(self._shake_hands(sock))
        self._handshakes[task] = None

        def on_done(_: object) -> None:
            # Here, since a task that is cancelled before its first step never takes one.
            self._handshakes.pop(task, None)
            error = None if task.cancelled() else task.exception()
            if task.cancelled() or error is not None:
                sock.close()
                hand_over(None)
            else:
                hand_over(task.result())
            # What a connection that ends meanwhile raises differs by Python's version.
            if error is not None and not isinstance(error, _ENDED):
                logger.error("An RTSP connection could not be decrypted.", exc_info=error)

        task.add_done_callback(on_done)

    async def _shake_hands(self, sock: socket.socket) -> socket.socket:
        loop = self._thread.loop
        outer, inner = _Side(), _Side()
        with contextlib.ExitStack() as undo:
            await asyncio.wait_for(_readable(loop, sock), HANDSHAKE_SECONDS)
            # Who came and went without a word gets no TLS object, which takes 100 kB.
            if not sock.recv(1, socket.MSG_PEEK):
                raise ConnectionAbortedError
            await loop.connect_accepted_socket(
                lambda: outer, sock, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
            undo.callback(outer.close)
            near, far = tcp_pair()
            undo.callback(far.close)
            for one in (near, far):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAITING_BYTES)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING_BYTES)
            near.setblocking(False)  # noqa: FBT003 - its own call
            await loop.connect_accepted_socket(lambda: inner, near)
            outer.join(inner)
            inner.join(outer)
            undo.pop_all()
        return far


class _Side(asyncio.Protocol):
    """One of two connections: what comes in goes out by the other. Asyncio's thread only."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._other: _Side | None = None
        # What came before the two were joined.
        self._early = b""

    def join(self, other: _Side) -> None:
        """Pass on to another one from now on; what has come or ended by now, too."""
        self._other = other
        if self._transport is None:
            other.close()
            return
        other.write(self._early)
        self._early = b""

    def write(self, data: bytes) -> None:
        """Send."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Send what waits, and end."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - these are streams
        self._transport = transport
        transport.set_write_buffer_limits(high=WAITING_BYTES)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self._other is None:
            self._early += data
        else:
            self._other.write(data)

    def pause_writing(self) -> None:
        """Read no more from the other side while this one takes nothing."""
        self._let_other_read(reads=False)

    def resume_writing(self) -> None:
        """Go on reading."""
        self._let_other_read(reads=True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - either way
        """End the other side as well."""
        self._transport = None
        if self._other is not None:
            self._other.close()

    def _let_other_read(self, *, reads: bool) -> None:
        other = None if self._other is None else self._other._transport  # noqa: SLF001 - of ours
        if other is None:
            return
        # Asyncio's own raise where it is closing.
        with contextlib.suppress(RuntimeError):
            if reads:
                other.resume_reading()
            else:
                other.pause_reading()


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Wait until something has come."""
    future = loop.create_future()

    def come() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_reader(sock, come)
    try:
        await future
    finally:
        loop.remove_reader(sock)
