"""Clocks that are set by hand, a container's credentials endpoint, and handlers that do as told."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.handlers import KVSCredentialsHandler
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

START = 1_795_341_036.0

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEBYaDKtokenEXAMPLE" * 9


def made(number: int = 1, *, lasts: float | None = 3600.0, now: float = START) -> Credentials:
    """Make temporary credentials, each number others."""
    expires_at = None if lasts is None else now + lasts
    return Credentials.of(f"ASIA{number:016}", SECRET, f"{TOKEN}{number}", expires_at, source="s")


class Clock:
    """Both clocks: they stand still until they are set forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wall(self) -> float:
        """Give seconds since the epoch."""
        return START + self.seconds

    def now(self) -> float:
        """Give monotonic seconds."""
        return self.seconds


class Scripted(KVSCredentialsHandler):
    """
    Give what it is told to, one after the other, and the last for ever.

    An error is raised; an event is waited for, and what follows it is given.
    """

    def __init__(self, *script: Credentials | Exception | threading.Event) -> None:
        super().__init__()
        self.script = list(script)
        self.calls = 0
        self.forgotten = 0
        self.threads: list[str] = []

    def get_credentials(self) -> Credentials:
        """Do what comes next."""
        self.calls += 1
        self.threads.append(threading.current_thread().name)
        given = self._next()
        if isinstance(given, threading.Event):
            given.wait(PATIENCE)
            given = self._next()
        if isinstance(given, Exception):
            raise given
        assert isinstance(given, Credentials)
        return given

    def _next(self) -> Credentials | Exception | threading.Event:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def forget(self) -> None:
        """Count it."""
        self.forgotten += 1


class Answers:
    """Take what is told, on whatever thread, and wait for it."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.threads: list[str] = []

    def __call__(self, answer: Any) -> None:
        """Take one."""
        self.threads.append(threading.current_thread().name)
        self.queue.put(answer)

    def next(self) -> Any:
        """Wait for the next one."""
        return self.queue.get(timeout=PATIENCE)


class Endpoint:
    """Answer HTTP on a loopback port, with whatever ``answer`` gives for a request's body."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answer."""
                length = int(self.headers.get("content-length", 0))
                status, body = answer(self.rfile.read(length))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Container(Endpoint):
    """Hand out credentials as ECS does: others each time, good for ``lasts`` seconds."""

    def __init__(self, lasts: float = 60.0) -> None:
        self.lasts = lasts
        self.asked = 0
        # What to say instead.
        self.instead: tuple[int, bytes] | None = None
        super().__init__(self._answer)

    def _answer(self, _: bytes) -> tuple[int, bytes]:
        self.asked += 1
        if self.instead is not None:
            return self.instead
        content = {
            "AccessKeyId": f"ASIA{self.asked:016}",
            "SecretAccessKey": SECRET,
            "Token": TOKEN,
            "Expiration": iso(time.time() + self.lasts),
        }
        return 200, json.dumps(content).encode()


def iso(seconds: float) -> str:
    """Write a time as AWS does."""
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
