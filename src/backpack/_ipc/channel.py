"""Messages and descriptors over a Unix socket pair, without ever blocking."""

from __future__ import annotations

import collections
import contextlib
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

from backpack._ipc.messages import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._ipc.messages import Message

_HEAD = struct.Struct("!IB")  # bytes of the message that follows, descriptors beside it
_LARGEST = 1 << 20
_PENDING = 16 << 20
_READ = 1 << 16
_MOST_FDS = 8


class ChannelClosed(Exception):  # noqa: N818 - an event, not a fault
    """The other side has gone, or speaks something else."""


class Channel:
    """
    One end of the control channel.

    `send` may be called from any thread; `receive` by one thread only. Neither
    waits: what the socket does not take at once is kept and sent by `flush`,
    which the owner calls when the socket is writable.

    Args:
        sock: A connected Unix stream socket; owned from now on.

    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self.sock = sock
        self._lock = threading.Lock()
        # (bytes, descriptors) still to be sent. Under the lock.
        self._outgoing: collections.deque[tuple[memoryview, list[int]]] = collections.deque()
        self._pending = 0
        # What came in and is not a whole message yet. The receiving thread's.
        self._incoming = bytearray()
        self._fds: collections.deque[int] = collections.deque()
        self._closed = False

    def fileno(self) -> int:
        """Return the socket's descriptor, for a selector."""
        return self.sock.fileno()

    @property
    def has_pending(self) -> bool:
        """Whether `flush` has something to do."""
        return bool(self._outgoing)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """
        Send a message, and copies of descriptors beside it.

        Raises:
            ChannelClosed: The other side has gone, or has stopped reading
                for so long that 16 MiB wait for it.

        """
        body = encode(message)
        if len(body) > _LARGEST or len(fds) > _MOST_FDS:
            raise ValueError(f"{len(body)} bytes and {len(fds)} descriptors are too much.")
        data = memoryview(_HEAD.pack(len(body), len(fds)) + body)
        with self._lock:
            if self._closed:
                raise ChannelClosed
            if self._pending + len(data) > _PENDING:
                raise ChannelClosed("The other process has stopped reading.")
            # The descriptors may be closed by the caller as soon as we return.
            self._outgoing.append((data, [os.dup(fd) for fd in fds]))
            self._pending += len(data)
            self._flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        with self._lock:
            if not self._closed:
                self._flush()

    def _flush(self) -> None:
        assert self._lock.locked()  # noqa: S101
        while self._outgoing:
            data, fds = self._outgoing[0]
            try:
                sent = socket.send_fds(self.sock, [data], fds) if fds else self.sock.send(data)
            except BlockingIOError:
                return
            except OSError as error:
                raise ChannelClosed from error
            _close_all(fds)
            self._pending -= sent
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (data[sent:], [])

    def receive(self) -> list[tuple[Message, list[int]]]:
        """
        Return the messages that have come in, each with its descriptors.

        The descriptors belong to the caller.

        Raises:
            ChannelClosed: The other side has gone, or what came is no message.

        """
        ended = False
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, _READ, _MOST_FDS)
            except BlockingIOError:
                break
            except OSError:
                # A peer that ends without having read everything resets the
                # connection; what it said before is still worth hearing.
                ended = True
                break
            for fd in fds:
                # They come inheritable (Python has no MSG_CMSG_CLOEXEC).
                os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own call
            self._fds.extend(fds)
            if not data:
                ended = True
                break
            self._incoming += data
            if len(self._incoming) > _LARGEST + _HEAD.size:
                break
        messages: list[tuple[Message, list[int]]] = []
        try:
            self._parse(messages)
        except ChannelClosed:
            for _, fds in messages:
                _close_all(fds)
            raise
        if ended and not messages:
            raise ChannelClosed
        return messages

    def _parse(self, messages: list[tuple[Message, list[int]]]) -> None:
        """Append what is whole by now."""
        while len(self._incoming) >= _HEAD.size:
            length, count = _HEAD.unpack_from(self._incoming)
            if length > _LARGEST or count > _MOST_FDS:
                raise ChannelClosed("The other process does not speak this protocol.")
            end = _HEAD.size + length
            if len(self._incoming) < end:
                break
            try:
                message = decode(bytes(self._incoming[_HEAD.size : end]))
            except ValueError as error:
                raise ChannelClosed(str(error)) from error
            del self._incoming[:end]
            if len(self._fds) < count:
                raise ChannelClosed("A descriptor got lost.")
            messages.append((message, [self._fds.popleft() for _ in range(count)]))

    def close(self) -> None:
        """Close the socket and every descriptor that waits. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _, fds in self._outgoing:
                _close_all(fds)
            self._outgoing.clear()
        while self._fds:
            os.close(self._fds.popleft())
        self.sock.close()


def _close_all(fds: list[int]) -> None:
    while fds:
        with contextlib.suppress(OSError):
            os.close(fds.pop())
