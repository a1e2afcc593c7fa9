"""The child process that kvssink runs in: takes access units from a socket, reports back."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from backpack._outputs.kvs.worker.kvssink.protocol import Kind, PartReader, say
from backpack.errors import BackpackError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._outputs.kvs.worker.kvssink.pipeline import SinkPipeline

_READ: Final = 1 << 18
_LOOK_SECONDS: Final = 0.05
_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

EXIT_FAILED: Final = 1
EXIT_MISSING: Final = 3
EXIT_LATE: Final = 4


def main(arguments: Sequence[str]) -> int:
    """
    Run the child process.

    Priority, process group and an ignored Ctrl-C are the streaming process's.

    Args:
        arguments: The number of the descriptor of our end of the socket.

    Returns:
        The exit status, where kvssink has not ended the process before.

    """
    sock = socket.socket(fileno=int(arguments[0]))
    try:
        # Only now: what is missing is told.
        from backpack._outputs.kvs.worker.kvssink.element import find_element  # noqa: PLC0415

        found = find_element()
    except (BackpackError, ImportError) as error:
        found = {"why": f"{sys.executable}: {error}"}
    is_there = "why" not in found
    with contextlib.suppress(OSError):
        sock.sendall(say("loaded" if is_there else "missing", **found))
    if not is_there:
        return EXIT_MISSING
    Child(sock).run()
    return 0


class Child:
    """
    Two threads: the main one reads the socket, the other starts kvssink and waits for its end.

    The process ends by `os._exit` once there is a pipeline: destructors of
    kvssink's SDK wait for its network once more.

    Args:
        sock: To the streaming process.

    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # Guards sending: kvssink's own threads say things, too.
        self._lock = threading.Lock()
        self._started = threading.Event()
        # The main thread's; made before the other thread is.
        self._pipeline: SinkPipeline | None = None
        # How long there is to deliver once nothing follows.
        self._stop_seconds = 0.0

    def run(self) -> None:
        """Go on until kvssink, the streaming process or the time ends it."""
        reader = PartReader()
        while data := self._receive():
            for kind, wall_ns, body in reader.feed(data):
                if kind is Kind.BEGIN:
                    self._begin(json.loads(body))
                elif kind is Kind.END:
                    self._stop_seconds = float(json.loads(body)["seconds"])
                    self._deliver()
                else:
                    self._push(wall_ns, body, key=kind is Kind.KEY)
        # The streaming process has gone.
        self._deliver()

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(_READ)
        except OSError:
            return b""

    def _say(self, word: str, **more: object) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._sock.sendall(say(word, **more))

    def _begin(self, order: dict[str, Any]) -> None:
        self._stop_seconds = float(order["stop_seconds"])
        from backpack._outputs.kvs.worker.kvssink.pipeline import SinkPipeline  # noqa: PLC0415 - after `find_element`

        try:
            take_environment(order["environment_path"])
            self._pipeline = SinkPipeline(
                order["properties"],
                order["video"],
                on_ack=lambda ack: self._say("ack", **asdict(ack)),
                on_metrics=lambda metrics: self._say("metrics", **asdict(metrics)),
                on_status=lambda status: self._say("status", status=status),
            )
        except BackpackError as error:
            self._fail(error)
        threading.Thread(
            target=self._live, args=(self._pipeline,), name="spyglass-kvssink", daemon=True
        ).start()
        # It takes nothing before: what comes waits in the socket, and the far
        # side sees that it is full.
        while not self._started.wait(_LOOK_SECONDS):
            if self._has_hung_up():
                if not self._started.wait(self._stop_seconds):
                    os._exit(EXIT_LATE)
                return

    def _live(self, pipeline: SinkPipeline) -> None:
        try:
            pipeline.start()
            self._say("started")
            self._started.set()
            pipeline.wait()
        except BackpackError as error:
            self._fail(error)
        self._say("ended")
        os._exit(0)

    def _fail(self, error: BackpackError) -> NoReturn:
        self._say("error", why=str(error))
        os._exit(EXIT_FAILED)

    def _push(self, wall_ns: int, payload: bytes, *, key: bool) -> None:
        if self._pipeline is None:
            return
        while self._pipeline.is_full and not self._has_hung_up():
            time.sleep(_LOOK_SECONDS)
        self._pipeline.push(wall_ns, payload, key=key)

    def _deliver(self) -> NoReturn:
        """Have everything delivered; the other thread ends the process when that is done."""
        if self._pipeline is not None:
            self._pipeline.end()
            time.sleep(self._stop_seconds)
            os._exit(EXIT_LATE)
        os._exit(0)

    def _has_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        return bool(poll.poll(0))


def take_environment(path: str | None) -> None:
    """
    Take credentials into the environment, where kvssink looks for them first.

    From a file, and by this process itself: so they stand in no other
    process's memory, and not in what /proc shows of this one.

    Raises:
        PipelineError: The file cannot be read.

    """
    if path is None:
        return
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, ValueError):
        raise PipelineError(f"The credentials in {path} cannot be read.") from None
    for line in lines:
        name, _, value = line.partition("=")
        if name in _CREDENTIALS:
            os.environ[name] = value
