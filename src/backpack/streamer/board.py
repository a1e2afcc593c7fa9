"""Bring servers and the streams that they serve together, in the streaming process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from backpack.errors import BackpackError, SettingsError
from backpack.gst.gi import GLib

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack.handover.messages import OpenServer
    from backpack.hub.hub import Hub
    from backpack.rtsp.server import Server

__all__ = ["ServerBoard"]

_RETRY_MS = 2000


class ServerBoard:
    """
    Bring servers and the streams on them together, whichever comes first.

    A stream names its server by number; the application may start the server
    later, stop it, and start it again. Everything runs on the main thread.
    """

    def __init__(self) -> None:
        self._servers: dict[int, Server] = {}
        self._ports: dict[int, int] = {}
        # Server → path → what is to be served there.
        self._mounts: dict[int, dict[str, Hub]] = {}
        self._launches: dict[int, dict[str, str]] = {}
        # Servers that could not be opened → the timer of the next try.
        self._retries: dict[int, int] = {}

    def open(
        self,
        order: OpenServer,
        *,
        on_open: Callable[[int, int], None],
        on_failed: Callable[[int, BackpackError], None],
    ) -> None:
        """
        Open a server, or give an open one the pipelines it is to serve.

        One that cannot be opened is tried again until the application closes
        it: after a restart its port may be taken for a while.
        """
        self._forget_retry(order.id)
        try:
            if order.id not in self._servers:
                self._open(order)
            self._serve_launches(order)
        except BackpackError as error:
            on_failed(order.id, error)
            if order.id not in self._servers:
                self._retries[order.id] = GLib.timeout_add(
                    _RETRY_MS, self._retry, order, on_open, on_failed
                )
            return
        on_open(order.id, self._ports[order.id])

    def close_server(self, number: int) -> None:
        """Close a server; streams that name it wait for it to come back."""
        self._forget_retry(number)
        self._launches.pop(number, None)
        server = self._servers.pop(number, None)
        if server is not None:
            server.close()

    def mount(self, number: int, path: str, hub: Hub) -> None:
        """
        Serve a stream at a path of a server, now or when it is opened.

        Raises:
            BackpackError: The path cannot be served.

        """
        server = self._servers.get(number)
        if server is not None:
            server.mount(path, hub)
        self._mounts.setdefault(number, {})[path] = hub

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

    def close(self) -> None:
        """Close all servers."""
        for number in [*self._servers, *self._retries]:
            self.close_server(number)

    def _open(self, order: OpenServer) -> None:
        if order.kind != "rtsp":
            raise SettingsError(f"There is no server of the kind {order.kind!r}.")
        # Who serves no RTSP does not need its library.
        from backpack.rtsp.server import Server  # noqa: PLC0415
        from backpack.rtsp.settings import RTSPServerSettings  # noqa: PLC0415

        server = Server(RTSPServerSettings.from_dict(order.settings))
        with contextlib.ExitStack() as undo:
            undo.callback(server.close)
            port = server.open()
            for path, hub in self._mounts.get(order.id, {}).items():
                server.mount(path, hub)
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

    def _retry(
        self,
        order: OpenServer,
        on_open: Callable[[int, int], None],
        on_failed: Callable[[int, BackpackError], None],
    ) -> bool:
        del self._retries[order.id]
        self.open(order, on_open=on_open, on_failed=on_failed)
        return GLib.SOURCE_REMOVE

    def _forget_retry(self, number: int) -> None:
        timer = self._retries.pop(number, 0)
        if timer:
            GLib.source_remove(timer)
