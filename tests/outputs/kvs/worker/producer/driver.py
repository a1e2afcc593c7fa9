"""Drive a producer against a server, as simply as it can be done: one thread, blocking."""

from __future__ import annotations

import http.client
import random
import select
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backpack._outputs.kvs.settings import ProducerSettings
from backpack._outputs.kvs.worker.producer.commands import (
    Call,
    Close,
    EndBody,
    Open,
    ProducerState,
    Send,
)
from backpack._outputs.kvs.worker.producer.producer import Producer
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.signature import sign
from tests.kvs_server.wire import chunk
from tests.outputs.kvs.worker.producer.video import unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.shared.api import Request
    from backpack._outputs.kvs.worker.producer.commands import Command
    from backpack._outputs.kvs.worker.producer.journal import Journal
    from tests.kvs_server.server import KVSServer

__all__ = ["Driver"]

OVER = (ProducerState.STOPPED, ProducerState.FAILED)


class Driver:
    """
    Do what a producer asks for.

    Args:
        server: Where to send.
        journal: Of the producer.
        settings: What `ProducerSettings` takes.

    """

    def __init__(
        self, server: KVSServer, *, journal: Journal | None = None, **settings: Any
    ) -> None:
        self.signing: dict[str, Any] = {"key": ACCESS_KEY, "secret": SECRET_KEY}
        self.expires_in_seconds: float | None = None
        options: dict[str, Any] = {"fragment_seconds": 1.0} | settings
        self.producer = Producer(
            ProducerSettings(server.region, "test", server.url, **options),
            segment_uid=random.randbytes(16),
            # Short waits: the jitter itself is looked at elsewhere.
            random=lambda: 0.1,
            journal=journal,
        )
        self._sock: socket.socket | None = None
        # What was read and is not decoded yet: the head, or chunks.
        self._data = b""
        self._head_read = False

    def frames(self, first: int, last: int) -> None:
        """Put the frames with these numbers."""
        for number in range(first, last + 1):
            assert self.producer.frame(unit(number), time.monotonic())

    def run(self, done: Callable[[], bool], seconds: float = 30.0) -> None:
        """Go on until something holds, or the producer is over."""
        deadline = time.monotonic() + seconds
        while not done() and self.producer.state not in OVER:
            assert time.monotonic() < deadline, self.producer.status(time.monotonic())
            while (command := self.producer.poll(time.monotonic())) is not None:
                self._do(command)
                self._read(0.0)
            if done():
                return
            wake_at = self.producer.wake_at
            now = time.monotonic()
            self._read(0.05 if wake_at is None else min(max(wake_at - now, 0.0), 0.05))

    def stop(self, seconds: float = 20.0) -> None:
        """Stop, and wait until that is over."""
        self.producer.stop(time.monotonic(), seconds)
        self.run(lambda: False)
        while (command := self.producer.poll(time.monotonic())) is not None:
            self._do(command)

    def close(self) -> None:
        """Close what is open."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _do(self, command: Command) -> None:
        if isinstance(command, Close):
            self.close()
            return
        try:
            if isinstance(command, Call):
                self._call(command.request)
            elif isinstance(command, Open):
                self._open(command.request)
            elif isinstance(command, Send) and self._sock is not None:
                self._sock.sendall(chunk(command.data))
            elif isinstance(command, EndBody) and self._sock is not None:
                self._sock.sendall(chunk(b""))
        except (OSError, http.client.HTTPException) as error:
            self._broke(type(error).__name__)

    def _headers(self, request: Request) -> dict[str, str]:
        host = urlsplit(request.endpoint).netloc
        signed = sign("POST", request.url, dict(request.headers), request.body, **self.signing)
        return {"host": host} | signed | dict(request.unsigned)

    def _call(self, request: Request) -> None:
        host = urlsplit(request.endpoint).netloc
        connection = http.client.HTTPConnection(host, timeout=5)
        try:
            connection.request(
                "POST", request.operation.value, request.body, self._headers(request)
            )
            answer = connection.getresponse()
            error = answer.headers.get("x-amzn-ErrorType", "")
            self.producer.answered(
                answer.status, time.monotonic(), error_type=error, body=answer.read()
            )
        finally:
            connection.close()

    def _open(self, request: Request) -> None:
        parts = urlsplit(request.endpoint)
        self._sock = socket.create_connection((parts.hostname or "", parts.port or 0), 5)
        self._data, self._head_read = b"", False
        lines = ["POST /putMedia HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self._headers(request).items()]
        self._sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def _read(self, seconds: float) -> None:
        if self._sock is None:
            time.sleep(seconds)
            return
        if not select.select([self._sock], [], [], seconds)[0]:
            return
        try:
            data = self._sock.recv(65536)
        except OSError as error:
            self._broke(type(error).__name__)
            return
        if not data:
            self._broke("closed by the service")
            return
        self._data += data
        if not self._head_read:
            self._read_head()
        if self._head_read:
            self._read_chunks()

    def _read_head(self) -> None:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode().split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2] for line in lines}
        status = int(first.split()[1])
        if status != 200 and len(rest) < int(headers.get("content-length", 0)):
            return
        self._head_read, self._data = True, rest
        self.producer.answered(
            status,
            time.monotonic(),
            error_type=headers.get("x-amzn-errortype", "").strip(),
            body=rest if status != 200 else b"",
            expires_in_seconds=self.expires_in_seconds,
        )

    def _read_chunks(self) -> None:
        while True:
            size, end, rest = self._data.partition(b"\r\n")
            if not end or len(rest) < int(size, 16) + 2:
                return
            count = int(size, 16)
            self._data = rest[count + 2 :]
            if not count:
                self._broke("answers ended")
                return
            self.producer.received(rest[:count], time.monotonic())

    def _broke(self, cause: str) -> None:
        self.close()
        self.producer.broke(cause, time.monotonic())
