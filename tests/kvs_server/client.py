"""Speak to the server as strictly as it speaks, by hand: what is sent is what a test says."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.signature import sign
from tests.kvs_server.wire import chunk

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self

    from tests.kvs_server.server import KVSServer

__all__ = ["Answer", "HandClient", "put_media_headers"]

SECONDS = 20.0


class Answer:
    """An answer: status, headers in lower case, and the body if it has a length."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def error(self) -> str:
        """Give the error's name without "Exception"."""
        return self.headers.get("x-amzn-errortype", "").removesuffix("Exception")

    @property
    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


def put_media_headers(stream: str = "test", **changes: str | None) -> dict[str, str]:
    """Give PutMedia's headers; underscores stand for hyphens, None takes one away."""
    headers: dict[str, str | None] = {
        "x-amzn-stream-name": stream,
        "x-amzn-fragment-timecode-type": "ABSOLUTE",
        "x-amzn-fragment-acknowledgment-required": "1",
        "x-amzn-producer-start-timestamp": "1795341036.923",
        "transfer-encoding": "chunked",
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


class HandClient:
    """One connection to a server."""

    def __init__(self, server: KVSServer) -> None:
        self.server = server
        self._host = urlsplit(server.url).netloc
        self.sock = socket.create_connection(server.address, SECONDS)
        self._file = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.sock.close()

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._file.close()
        self.sock = context.wrap_socket(
            self.sock, server_hostname=urlsplit(self.server.url).hostname
        )
        self._file = self.sock.makefile("rb")

    def signed(
        self, path: str, headers: dict[str, str], body: bytes = b"", **signing: Any
    ) -> dict[str, str]:
        """Sign as botocore does; what is given for ``signing`` goes to `sign`."""
        signing = {"key": ACCESS_KEY, "secret": SECRET_KEY} | signing
        url = f"http://{self._host}{path}"
        return {"host": self._host} | sign("POST", url, headers, body, **signing)

    def send_head(self, path: str, headers: dict[str, str]) -> None:
        """Send a request line and headers as they are."""
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def call(self, path: str, content: dict[str, object], **signing: Any) -> Answer:
        """Ask the control plane."""
        body = json.dumps(content).encode()
        headers = self.signed(path, {"content-type": "application/json"}, body, **signing)
        self.send_head(path, headers | {"content-length": str(len(body))})
        self.sock.sendall(body)
        return self.answer()

    def put_media(self, headers: dict[str, str] | None = None, **signing: Any) -> Answer:
        """Send PutMedia's head, and read the head of its answer."""
        headers = put_media_headers() if headers is None else headers
        self.send_head("/putMedia", self.signed("/putMedia", headers, **signing))
        return self.answer()

    def answer(self) -> Answer:
        """Read an answer; 100 Continue is skipped."""
        status, headers = self._read_head()
        while status == 100:
            status, headers = self._read_head()
        body = self._file.read(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def _read_head(self) -> tuple[int, dict[str, str]]:
        first = self._file.readline()
        if not first:
            raise ConnectionError("The server has closed the connection.")
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(first.split()[1]), headers

    def send(self, data: bytes) -> None:
        """Send a part of the body."""
        self.sock.sendall(chunk(data))

    def end(self) -> None:
        """End the body."""
        self.sock.sendall(chunk(b""))

    def chunk(self) -> bytes:
        """Read one chunk of the acknowledgements; empty at their end."""
        size = int(self._file.readline() or b"0", 16)
        data = self._file.read(size)
        self._file.readline()
        return data

    def acks(self) -> list[dict[str, Any]]:
        """Read acknowledgements until they end."""
        data = b""
        while part := self.chunk():
            data += part
        return [json.loads(line) for line in data.splitlines()]
