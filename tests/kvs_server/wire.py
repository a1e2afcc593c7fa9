"""Read requests as strictly as HTTP/1.1 allows, and write answers."""

from __future__ import annotations

import json
import re
import select
import ssl
import threading
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Closed", "Refused", "Request", "Wire", "answer", "chunk", "head", "read_request"]

LONGEST_HEAD_BYTES = 32 * 1024
LONGEST_JSON_BYTES = 64 * 1024
HEAD_SECONDS = 30.0
PORTION_BYTES = 64 * 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Closed(Exception):  # noqa: N818 - no error: clients may go at any time
    """The far side is gone, or the server is being closed."""


class Refused(Exception):  # noqa: N818 - AWS's own word
    """
    A request is answered with an error.

    Args:
        status: Of HTTP.
        error: AWS's name for it, without "Exception".
        message: In AWS's answer.

    """

    def __init__(self, status: int, error: str, message: str) -> None:
        # Our own log: what follows the first line quotes the request.
        first, _, _ = message.partition("\n")
        super().__init__(f"{status} {error}: {first}")
        self.status = status
        self.error = error
        self.message = message


@dataclass
class Request:
    """One request; header names are in lower case, in the order in which they came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    raw_head: bytes = field(default=b"", repr=False)

    def get(self, name: str) -> str | None:
        """
        Give a header's value, None if it is not there.

        Raises:
            Refused: It is there twice.

        """
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1:
            raise Refused(400, "InvalidArgument", f"Header {name} stands there {len(found)} times.")
        return found[0] if found else None

    def json(self) -> dict[str, object]:
        """Read the body."""
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise Refused(400, "Serialization", f"The body is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise Refused(400, "Serialization", "The body is no JSON object.")
        return found


class Wire:
    """
    Read a socket in portions that the caller asks for.

    One thread reads, any thread sends.

    Args:
        sock: The connection.
        before_read: Called with the number of bytes that were just read, and
            with 0 before the first; may wait, or raise `Closed`.

    """

    def __init__(self, sock: socket.socket, before_read: Callable[[int], None]) -> None:
        self.sock = sock
        self._before_read = before_read
        # A TLS connection is not for two threads at once.
        self._lock = threading.Lock()
        self._last = 0
        self._data = bytearray()
        # Of the chunk that is being read. None: its size is still to come.
        self._chunk: int | None = None
        self.received = 0
        # How long a read waits; what was read until then is kept.
        self.timeout_seconds = HEAD_SECONDS

    def until(self, mark: bytes, limit: int) -> bytes:
        """Read up to a mark, which is taken off."""
        while (end := self._data.find(mark)) < 0:
            if len(self._data) > limit:
                raise Refused(400, "BadRequest", f"Nothing ends within {limit} bytes.")
            self._fill()
        return self._take(end, len(mark))

    def exactly(self, count: int) -> bytes:
        """Read so many bytes."""
        while len(self._data) < count:
            self._fill()
        return self._take(count)

    def some(self, most: int) -> bytes:
        """Read what there is, at least one byte."""
        if not self._data:
            self._fill()
        return self._take(min(most, len(self._data)))

    def _take(self, count: int, more: int = 0) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[: count + more]
        return taken

    def _fill(self) -> None:
        self._before_read(self._last)
        try:
            self._wait()
            with self._lock:
                data = self.sock.recv(PORTION_BYTES)
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("the client has closed the connection")
        self._last = len(data)
        self.received += len(data)
        self._data += data

    def _wait(self) -> None:
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return
        if not select.select([self.sock], [], [], self.timeout_seconds)[0]:
            raise TimeoutError

    def send(self, data: bytes) -> None:
        """Send all of it."""
        try:
            with self._lock:
                self.sock.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def next_chunk(self) -> bytes:
        """
        Read the next chunk of a body; empty at its end.

        Raises:
            Refused: It is not as RFC 9112, section 7.1 has it, or has
                extensions or trailers, which KVS's clients never send.

        """
        if self._chunk is None:
            line = self.until(b"\r\n", 1024)
            if not _CHUNK_SIZE.fullmatch(line):
                raise Refused(400, "BadRequest", f"{line!r} is no size of a chunk.")
            self._chunk = int(line, 16)
        data = self.exactly(self._chunk + 2)
        self._chunk = None
        if data[-2:] != b"\r\n":
            raise Refused(400, "BadRequest", "A chunk does not end where its size says.")
        return data[:-2]


def read_request(wire: Wire, *, proceed: bool = True) -> Request:
    """
    Read a request's head, and its body where that has a length.

    Args:
        wire: The connection.
        proceed: Whether a client that asks for it is told to continue.

    Raises:
        Refused: It is not strictly HTTP/1.1.

    """
    raw = wire.until(b"\r\n\r\n", LONGEST_HEAD_BYTES)
    first, *lines = raw.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1":
        raise Refused(400, "BadRequest", f"{first!r} is no request line of HTTP/1.1.")
    request = Request(parts[0], parts[1], [_header(line) for line in lines], raw_head=raw)
    chunked, length = request.get("transfer-encoding"), request.get("content-length")
    if chunked is not None and length is not None:
        raise Refused(400, "BadRequest", "Both a length and a transfer coding.")
    if chunked is not None and chunked.lower() != "chunked":
        raise Refused(400, "BadRequest", f"Transfer coding {chunked!r}.")
    if length is not None and (not length.isdecimal() or int(length) > LONGEST_JSON_BYTES):
        raise Refused(400, "BadRequest", f"Length {length!r}.")
    expected = request.get("expect")
    if expected is not None and proceed:
        if expected.lower() != "100-continue":
            raise Refused(400, "BadRequest", f"Expectation {expected!r}.")
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if length is not None:
        request.body = wire.exactly(int(length))
    return request


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    # A space before the colon, or a folded line, are how requests are smuggled.
    if not colon or not _TOKEN.fullmatch(name):
        raise Refused(400, "BadRequest", f"{line[:40]!r} is no header.")
    return name.lower(), value.strip(" \t")


def head(status: int, *headers: tuple[str, str]) -> bytes:
    """Write the head of an answer."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines.append(f"x-amzn-RequestId: {uuid.uuid4()}")
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(status: int, content: object, *headers: tuple[str, str]) -> bytes:
    """Write a whole answer in JSON."""
    body = json.dumps(content).encode()
    return (
        head(
            status,
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            *headers,
        )
        + body
    )


def chunk(data: bytes) -> bytes:
    """Write one chunk; the last one if there is no data."""
    return b"%x\r\n%b\r\n" % (len(data), data)
