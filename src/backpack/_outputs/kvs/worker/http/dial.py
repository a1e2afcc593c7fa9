"""Connect to whichever of a host's addresses answers first."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from backpack._outputs.kvs.worker.http.errors import cause_of
from backpack._outputs.kvs.worker.http.reactor import WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backpack._outputs.kvs.worker.http.reactor import Reactor
    from backpack._outputs.kvs.worker.http.resolver import Address

NEXT_SECONDS = 0.25
"""After which the next address is tried as well (RFC 8305, 5)."""

SEND_BUFFER_BYTES = 128 * 1024
"""The kernel doubles it. 25 Mbit/s over 80 ms; more would only hide how far behind we are."""

_UNDER_WAY = (0, errno.EINPROGRESS)


class Dial:
    """
    Try addresses one after the other, and not only when the one before has failed.

    Args:
        reactor: The thread's.
        addresses: Where, best first; at least one.
        now: The time.
        then: Called once, with a connected socket, or with None and a cause.
            Not before `tick` was called.

    """

    def __init__(
        self,
        reactor: Reactor,
        addresses: Sequence[Address],
        now: float,
        then: Callable[[socket.socket | None, str], None],
    ) -> None:
        self._reactor = reactor
        self._left = list(addresses)
        self._then = then
        self._trying: set[socket.socket] = set()
        self._cause = ""
        # When the next address is tried. None: there is none.
        self.wake_at: float | None = now

    def tick(self, now: float) -> None:
        """Try the next address if it is time for it."""
        while self.wake_at is not None and now >= self.wake_at:
            self._try_next(now)

    def close(self) -> None:
        """Stop trying. Idempotent."""
        self.wake_at = None
        self._left.clear()
        for sock in list(self._trying):
            self._drop(sock)

    def _try_next(self, now: float) -> None:
        family, address = self._left.pop(0)
        self.wake_at = now + NEXT_SECONDS if self._left else None
        try:
            self._start(family, address)
        except OSError as error:
            self._failed(error, now)

    def _start(self, family: int, address: object) -> None:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            sock.settimeout(0.0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            code = sock.connect_ex(address)  # type: ignore[arg-type]  # the resolver's
            if code not in _UNDER_WAY:
                raise OSError(code, os.strerror(code))
            self._reactor.watch(sock, WRITE, lambda _events: self._ready(sock))
            undo.pop_all()
        self._trying.add(sock)

    def _ready(self, sock: socket.socket) -> None:
        if sock not in self._trying:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._drop(sock)
            self._failed(OSError(code, os.strerror(code)), None)
            return
        self._trying.remove(sock)
        self._reactor.forget(sock)
        self.close()
        self._then(sock, "")

    def _failed(self, error: OSError, now: float | None) -> None:
        self._cause = cause_of(error)
        if self._left:
            # At once: nobody has to be waited for.
            self.wake_at = float("-inf") if now is None else now
        elif not self._trying:
            self.wake_at = None
            self._then(None, self._cause)

    def _drop(self, sock: socket.socket) -> None:
        self._trying.discard(sock)
        self._reactor.forget(sock)
        sock.close()
