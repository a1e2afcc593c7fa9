"""Show any number of streams in browsers, on one address and one port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from backpack._gst.gi import GLib
from backpack._gst.main_loop import done, in_background
from backpack._lib.tcp import LISTEN_BACKLOG, listen
from backpack._lib.tls import server_context
from backpack._outputs.web.settings import DEFAULT_PORT, WebServerSettings, check_stream_path
from backpack._outputs.web.worker.aio import web
from backpack._outputs.web.worker.bridge import LoopBridge
from backpack._outputs.web.worker.connections import ConnectionGuard, ConnectionLimiter, Limits
from backpack._outputs.web.worker.mount import Mount
from backpack._outputs.web.worker.routes import Site
from backpack._outputs.web.worker.whep import Whep
from backpack.errors import SettingsError, StateError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from backpack._media.output import StreamSource

KEEP_ALIVE_SECONDS = 15.0

OPEN_SECONDS = 10.0

CLOSE_SECONDS = 2.0

LONGEST_FIELD_BYTES = 32 * 1024
"""Of a header. A browser sends the cookies of all ports of localhost, ours or not."""

# Bad requests are the far side's business; aiohttp would log a traceback for each.
_http_log = logging.getLogger("backpack.web.http")
_http_log.setLevel(logging.CRITICAL)


class Server:
    """
    One web server: a socket, its streams, its viewers.

    All methods are called on the main thread. The pages and the viewers are
    served by asyncio on a thread of its own; `backpack._outputs.web.worker.bridge` stands
    between the two.

    Args:
        settings: What it was asked to be; checked by `open`.
        limits: What connections may take.
        on_stats_changed: Called when `failed_logins` has grown.

    """

    def __init__(
        self,
        settings: WebServerSettings,
        *,
        limits: Limits | None = None,
        on_stats_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._on_stats_changed = on_stats_changed
        self._limits = limits or Limits()
        # None: not open.
        self._bridge: LoopBridge | None = None
        self._site: Site | None = None
        self._whep: Whep | None = None
        self._listener: asyncio.AbstractServer | None = None
        self._http: web.Server | None = None
        self._limiter = ConnectionLimiter(self._limits)
        self._mounts: dict[str, Mount] = {}
        # What the last `close` has begun.
        self._closing: Future[None] = done()

    def open(self) -> int:
        """
        Start to listen.

        Returns:
            The bound port.

        Raises:
            SettingsError: A setting cannot be.
            AddressInUseError: Another program listens there.
            OutputError: The address cannot be listened on for another reason.
            StateError: It is open already.

        """
        if self._bridge is not None:
            raise StateError("This web server is open. Close it before it is opened again.")
        self._settings.validate()
        context = server_context(self._settings.certificate, self._settings.key)
        with contextlib.ExitStack() as undo:
            address = self._settings.number or self._settings.address
            sock = listen(address, self._settings.port, other_port=DEFAULT_PORT)
            undo.callback(sock.close)
            port: int = sock.getsockname()[1]
            instance = f"{socket.gethostname()}:{port}"
            self._site = Site(
                self._settings,
                instance,
                on_upgraded=self._on_upgraded,
                on_wrong=lambda: GLib.idle_add(self._tell),
            )
            self._bridge = LoopBridge()
            undo.callback(self.close)
            self._whep = Whep(
                self._find_mount,
                self._bridge,
                is_full=self._site.is_full,
                address=address,
                udp_ports=self._settings.udp_ports,
            )
            self._site.add_whep(self._whep)
            self._bridge.run(self._start(sock, context), OPEN_SECONDS)
            undo.pop_all()
        return port

    def mount(self, path: str, source: StreamSource) -> None:
        """
        Show a stream under a path.

        Raises:
            SettingsError: The path cannot be, or is taken.
            StateError: The server is not open.

        """
        bridge, site = self._bridge, self._site
        if bridge is None or site is None:
            raise StateError("This web server is not open, so nothing can be shown on it.")
        check_stream_path(path)
        if path in self._mounts:
            raise SettingsError(f"path {path!r} is taken on this server. Give another one.")
        mount = Mount(path, source, bridge)
        self._mounts[path] = mount
        bridge.call(site.mount, mount)

    def mount_launch(self, path: str, pipeline: str) -> None:
        """
        Refuse a pipeline of the application's own.

        Raises:
            SettingsError: Always; RTSP servers alone take one.

        """
        raise SettingsError(f"{path}: a web server serves no pipeline of your own: {pipeline!r}.")

    def unmount(self, path: str) -> None:
        """
        Show a path no more: its viewers are told, and wait for it to come back.

        A path that is not mounted is passed over.
        """
        mount = self._mounts.pop(path, None)
        if mount is not None and self._bridge is not None and self._site is not None:
            self._bridge.call(self._site.unmount, mount)

    def viewers(self, path: str) -> int:
        """Count who gets a path's pictures now."""
        mount = self._mounts.get(path)
        return 0 if mount is None else mount.viewers

    def lost(self, path: str) -> int:
        """Count the pictures that a path's viewers were too slow for."""
        mount = self._mounts.get(path)
        return 0 if mount is None else mount.lost

    def _tell(self) -> bool:
        if self._bridge is not None:
            self._on_stats_changed()
        return GLib.SOURCE_REMOVE

    def failed_logins(self) -> int:
        """Count the wrong tokens and passwords since it was opened."""
        return 0 if self._site is None else self._site.failed_logins

    def close(self) -> Future[None]:
        """
        Stop listening and close every viewer. Does not block. Idempotent.

        Returns:
            What is done once the port is free and all viewers have gone, or hang.

        """
        bridge, self._bridge = self._bridge, None
        if bridge is None:
            return self._closing
        self._mounts.clear()
        whep = self._whep

        def stop() -> None:
            with contextlib.suppress(TimeoutError):
                bridge.run(self._stop(), CLOSE_SECONDS)
            bridge.close()

        def finish(_: Future[None]) -> None:
            if whep is None:
                closing.set_result(None)
            else:
                whep.close().add_done_callback(lambda _: closing.set_result(None))

        closing = self._closing = Future()
        in_background(stop, "spyglass-web-end").add_done_callback(finish)
        return closing

    # --- asyncio's thread -------------------------------------------------------

    def _find_mount(self, path: str) -> Mount | None:
        return None if self._site is None else self._site.mounts.get(path)

    async def _start(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        http = self._http = web.Server(
            self._answer,
            access_log=None,
            logger=_http_log,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            max_field_size=LONGEST_FIELD_BYTES,
            lingering_time=1.0,
            # Nobody has to pack an offer, and a small body could become a huge one.
            auto_decompress=False,
        )
        self._listener = await loop.create_server(
            lambda: ConnectionGuard(self._limiter, http(), context),
            sock=sock,
            backlog=LISTEN_BACKLOG,
        )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        guard = self._limiter.guard_of(request)
        assert self._site is not None  # noqa: S101 - made before anybody can ask
        if guard is not None:
            guard.begin(request)
        try:
            response = await self._site.answer(request)
        finally:
            if guard is not None:
                guard.done()
        if guard is not None and guard.is_last and not response.prepared:
            response.force_close()
        return response

    def _on_upgraded(self, request: web.BaseRequest) -> None:
        guard = self._limiter.guard_of(request)
        if guard is not None:
            guard.upgraded()

    async def _stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._site is not None:
            for mount in list(self._site.mounts.values()):
                self._site.unmount(mount)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._site.close(), CLOSE_SECONDS / 2)
        if self._http is not None:
            await self._http.shutdown(0.1)
        self._limiter.abort_all()
        # Transports tell their protocols that they are closed in the loop's next round.
        await asyncio.sleep(0)


def make_server(settings: Mapping[str, Any], on_stats_changed: Callable[[], None]) -> Server:
    """
    Return the server that the application has described, not open yet.

    Raises:
        SettingsError: A setting is unknown.

    """
    return Server(WebServerSettings.from_dict(settings), on_stats_changed=on_stats_changed)
