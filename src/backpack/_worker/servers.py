"""The servers of the streaming process, and the streams that they serve."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from backpack._gst.main_loop import Timer, done, in_background
from backpack._lib.addresses import is_number, own_address
from backpack._lib.shortage import explain
from backpack._registry import type_named
from backpack.errors import BackpackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from backpack._ipc.messages import OpenServer
    from backpack._media.output import StreamSource

    _OnOpen = Callable[[int, int], None]
    _OnFailed = Callable[[int, BackpackError], None]

RETRY_SECONDS = 2.0


class _Server(Protocol):
    """A listening server, whatever it speaks."""

    def open(self) -> int: ...
    def mount(self, path: str, source: StreamSource) -> None: ...
    def mount_launch(self, path: str, pipeline: str) -> None: ...
    def unmount(self, path: str) -> None: ...
    def viewers(self, path: str) -> int: ...
    def lost(self, path: str) -> int: ...
    def failed_logins(self) -> int: ...
    def close(self) -> Future[None]: ...


class WorkerServers:
    """
    Bring servers and the streams on them together, whichever comes first.

    A stream names its server by number; the application may start the server
    later, stop it, and start it again. Everything runs on the main thread.

    Args:
        on_change: Called after a server was opened or could not be, or has something to tell.

    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._servers: dict[int, _Server] = {}
        self._ports: dict[int, int] = {}
        # Server → path → what is to be served there.
        self._mounts: dict[int, dict[str, StreamSource]] = {}
        self._launches: dict[int, dict[str, str]] = {}
        # Servers that could not be opened → the timer of the next try, and the reason.
        self._retries: dict[int, Timer] = {}
        # Orders that wait for an address to be resolved, or for the server to be closed before.
        self._pending: dict[int, OpenServer] = {}
        # Servers that are being closed.
        self._closing: dict[int, Future[None]] = {}
        self._failures: dict[int, str] = {}
        self._on_change = on_change

    def open(self, order: OpenServer, on_open: _OnOpen, on_failed: _OnFailed) -> None:
        """
        Open a server, or give an open one the pipelines it is to serve.

        One that cannot be opened is tried again until the application closes
        it: after a restart its port may be taken for a while.
        """
        self._forget(order.id)
        self._pending[order.id] = order
        closing = self._closing.get(order.id)
        if closing is None:
            self._resolve(order, on_open, on_failed)
        else:
            # Its port is not free before.
            closing.add_done_callback(lambda _: self._resolve(order, on_open, on_failed))

    def _is_wanted(self, order: OpenServer) -> bool:
        """Whether the server was neither closed meanwhile nor asked for once more."""
        return self._pending.get(order.id) is order

    def _resolve(self, order: OpenServer, on_open: _OnOpen, on_failed: _OnFailed) -> None:
        """Find the number of the address without blocking: a name server may take its time."""
        if not self._is_wanted(order):
            return
        address = str(order.settings.get("address"))
        if order.id in self._servers or is_number(address):
            self._open_at(order, on_open, on_failed)
            return
        found: list[str | BackpackError] = []

        def look() -> None:
            try:
                found.append(own_address(address))
            except (BackpackError, OSError) as error:
                found.append(explain(error))

        def resolved(_: Future[None]) -> None:
            if not self._is_wanted(order):
                return
            if isinstance(found[0], str):
                settings = {**order.settings, "number": found[0]}
                self._open_at(replace(order, settings=settings), on_open, on_failed)
            else:
                self._fail(order, found[0], on_open, on_failed)

        in_background(look, "spyglass-resolve").add_done_callback(resolved)

    def _open_at(self, order: OpenServer, on_open: _OnOpen, on_failed: _OnFailed) -> None:
        self._pending.pop(order.id, None)
        try:
            if order.id not in self._servers:
                self._open(order)
            self._serve_launches(order)
        except (BackpackError, OSError, RuntimeError, MemoryError) as failure:
            self._fail(order, explain(failure), on_open, on_failed)
            return
        on_open(order.id, self._ports[order.id])
        self._on_change()

    def _fail(
        self, order: OpenServer, error: BackpackError, on_open: _OnOpen, on_failed: _OnFailed
    ) -> None:
        """Report why a server cannot be opened, and try again later."""
        self._pending.pop(order.id, None)
        on_failed(order.id, error)
        if order.id not in self._servers:
            self._failures[order.id] = str(error)
            self._on_change()
            self._retries[order.id] = Timer(RETRY_SECONDS, self._retry, order, on_open, on_failed)

    def close_server(self, number: int) -> Future[None]:
        """
        Close a server; streams that name it wait for it to come back.

        Returns:
            What is done once it is closed.

        """
        self._forget(number)
        self._launches.pop(number, None)
        server = self._servers.pop(number, None)
        if server is None:
            return self._closing.get(number) or done()
        closing = self._closing[number] = server.close()
        # First of those who hear of it: an order to open it again may have to wait for this.
        closing.add_done_callback(lambda _: self._closing.pop(number, None))
        return closing

    def mount(self, number: int, path: str, source: StreamSource) -> None:
        """
        Serve a stream at a path of a server, now or when it is opened.

        Raises:
            BackpackError: The path cannot be served.

        """
        server = self._servers.get(number)
        if server is not None:
            server.mount(path, source)
        self._mounts.setdefault(number, {})[path] = source

    def unmount(self, number: int, path: str) -> None:
        """Serve a stream no longer; its viewers get a clear end."""
        self._mounts.get(number, {}).pop(path, None)
        server = self._servers.get(number)
        if server is not None:
            server.unmount(path)

    def viewers(self, number: int, path: str) -> int:
        """Count those who watch at a path."""
        server = self._servers.get(number)
        return 0 if server is None else server.viewers(path)

    def lost(self, number: int, path: str) -> int:
        """Count the pictures that viewers at a path could not take in time."""
        server = self._servers.get(number)
        return 0 if server is None else server.lost(path)

    def failed_logins(self, number: int) -> int:
        """Count the wrong tokens and passwords at a server since it was opened."""
        server = self._servers.get(number)
        return 0 if server is None else server.failed_logins()

    def failure(self, number: int) -> str:
        """Return why a server is not open. Empty: it is, or was not asked for."""
        return self._failures.get(number, "")

    def close(self) -> list[Future[None]]:
        """Close all servers. Returns what is done once they are closed."""
        numbers = {*self._servers, *self._retries, *self._pending, *self._closing}
        return [self.close_server(number) for number in numbers]

    def _open(self, order: OpenServer) -> None:
        # Imported when it is first needed: one server's libraries are not needed for another.
        module = type_named(order.kind).load("worker.server")
        server: _Server = module.make_server(order.settings, self._on_change)
        with contextlib.ExitStack() as undo:
            undo.callback(server.close)
            port = server.open()
            for path, source in self._mounts.get(order.id, {}).items():
                server.mount(path, source)
            undo.pop_all()
        self._servers[order.id] = server
        self._ports[order.id] = port

    def _serve_launches(self, order: OpenServer) -> None:
        server = self._servers[order.id]
        served = self._launches.setdefault(order.id, {})
        for path in [path for path in served if order.launches.get(path) != served[path]]:
            server.unmount(path)
            del served[path]
        for path, text in order.launches.items():
            if path not in served:
                server.mount_launch(path, text)
                served[path] = text

    def _retry(self, order: OpenServer, on_open: _OnOpen, on_failed: _OnFailed) -> None:
        del self._retries[order.id]
        self.open(order, on_open, on_failed)

    def _forget(self, number: int) -> None:
        """Forget what was to be done about a server."""
        self._failures.pop(number, None)
        self._pending.pop(number, None)
        timer = self._retries.pop(number, None)
        if timer is not None:
            timer.cancel()
