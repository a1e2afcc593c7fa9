"""Start, feed, hear and end one child of kvssink; decide nothing."""

from __future__ import annotations

import collections
import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from backpack._ipc.child import describe_exit
from backpack._ipc.interpreter import boot_command
from backpack._outputs.kvs.worker.kvssink.protocol import LineReader

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULE: Final = "backpack._outputs.kvs.worker.kvssink.main"
_READ: Final = 1 << 16


class SinkProcess:
    """
    One running child: its socket, its standard output and error, its end.

    Everything is called by one thread.

    Args:
        environment: Its whole environment.
        python: The Python to run it under. None: our own.

    Raises:
        OSError: It cannot be started.

    """

    def __init__(self, environment: Mapping[str, str], *, python: str | None = None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own file, no shell
                    boot_command(python or sys.executable, _MODULE, str(theirs.fileno())),
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                )
            undo.pop_all()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self.sock = ours
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        self.output = self._process.stdout
        os.set_blocking(self.output.fileno(), False)
        self._outgoing: collections.deque[memoryview] = collections.deque()
        self.pending_bytes = 0
        self._lines = LineReader()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, data: bytes) -> None:
        """Send something, now or by `flush`."""
        self._outgoing.append(memoryview(data))
        self.pending_bytes += len(data)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._outgoing:
            data = self._outgoing[0]
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return
            except OSError:
                # `receive` tells that it has gone.
                self._outgoing.clear()
                self.pending_bytes = 0
                return
            self.pending_bytes -= sent
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = data[sent:]

    def receive(self) -> list[dict[str, Any]] | None:
        """Return what it has said since; None once it has gone."""
        said: list[dict[str, Any]] = []
        while True:
            try:
                data = self.sock.recv(_READ)
            except BlockingIOError:
                return said
            except OSError:
                data = b""
            if not data:
                # What it has said at last is heard first.
                return said or None
            said += self._lines.feed(data)

    def read_output(self) -> bytes | None:
        """Return what it has printed since; None once nothing more will come."""
        try:
            return os.read(self.output.fileno(), _READ) or None
        except BlockingIOError:
            return b""

    def end(self, wait_seconds: float = 0.0) -> str:
        """
        See it end, kill it if it still runs, and say in words how it ended.

        Args:
            wait_seconds: How long one may run that has closed its socket: it ends by itself.

        """
        try:
            status = self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self.sock.close()
        self.output.close()
        return describe_exit(status)
