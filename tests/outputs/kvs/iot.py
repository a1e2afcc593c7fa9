"""Be AWS IoT's credentials provider on this machine: nobody without a certificate is answered."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.kvs_server.server import SECRET_KEY
from tests.kvs_server.signature import Key

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from tests.kvs_server.server import KVSServer

__all__ = ["ALIAS", "THING", "Device", "IoTProvider", "make_authority", "make_device"]

ALIAS = "camera-role"
THING = "front-door:1"
TOKEN = "FwoGZXIvYXdzEIoTtoken"
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Device:
    """A device's files."""

    certificate: Path
    key: Path


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def make_authority(folder: Path) -> Path:
    """Make who signs devices; its key stands beside it."""
    path = folder / "authority.pem"
    _openssl("req", "-x509", *_CURVE, "-days", 2, "-subj", "/CN=authority",
             "-keyout", path.with_suffix(".key"), "-out", path)  # fmt: skip
    return path


def make_device(folder: Path, authority: Path, name: str = THING) -> Device:
    """Make a device's certificate."""
    folder.mkdir(exist_ok=True)
    key, request, certificate = (folder / f"device.{one}" for one in ("key", "csr", "pem"))
    _openssl("req", *_CURVE, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey",
             authority.with_suffix(".key"), "-days", 2, "-out", certificate)  # fmt: skip
    return Device(certificate, key)


class IoTProvider:
    """
    Hand out credentials, others each time, which a KVS server takes.

    Args:
        certificate: Its own; its key stands beside it.
        authority: Who has to have signed devices.
        server: Who is told of the keys.

    Attributes:
        lasts: How long they are good, in seconds.
        asked: Thing, as its certificate names it, of each request that was granted.
        instead: With it, this is what is answered.

    """

    def __init__(self, certificate: Path, authority: Path, server: KVSServer | None = None) -> None:
        self.lasts = 3600.0
        self.asked: list[str] = []
        self.instead: tuple[int, bytes] | None = None
        self._keys = {} if server is None else server.keys
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answer."""
                status, body = provider.answer(self)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        # Each handshake on the thread of its connection.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.endpoint = f"localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> tuple[int, bytes]:
        """Decide, as AWS does, by certificate, thing and role alias."""
        if self.instead is not None:
            return self.instead
        certificate: Any = request.connection.getpeercert()  # type: ignore[attr-defined]
        name = dict(pair for group in certificate["subject"] for pair in group)["commonName"]
        if request.path != f"/role-aliases/{ALIAS}/credentials":
            return 404, b'{"message":"Role alias does not exist"}'
        if request.headers["x-amzn-iot-thingname"] != name:
            return 403, b'{"message":"Access Denied"}'
        self.asked.append(name)
        key, expires = f"ASIAIOT{len(self.asked):09}", int(time.time() + self.lasts)
        self._keys[key] = Key(SECRET_KEY, TOKEN, expires)
        date = dt.datetime.fromtimestamp(expires, dt.timezone.utc)
        content = {
            "accessKeyId": key,
            "secretAccessKey": SECRET_KEY,
            "sessionToken": TOKEN,
            "expiration": date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return 200, json.dumps({"credentials": content}).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
