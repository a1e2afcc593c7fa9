"""Serve any number of streams over RTSP, on one address and one port."""

from __future__ import annotations

import contextlib
import logging
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from backpack._gst.gi import GLib
from backpack._gst.main_loop import done, in_background
from backpack._gst.rtsp import GstRtspServer
from backpack._lib.addresses import is_wildcard, own_address
from backpack._lib.paths import check_mount_path
from backpack._lib.tcp import listen
from backpack._lib.tls import server_context
from backpack._outputs.rtsp.settings import DEFAULT_PORT, RTSPServerSettings
from backpack._outputs.rtsp.worker.auth import make_auth
from backpack._outputs.rtsp.worker.clients import ClientMonitor
from backpack._outputs.rtsp.worker.door import LIMITS, SECURE_LIMITS, Door
from backpack._outputs.rtsp.worker.mount import Mount, check_launch
from backpack.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backpack._media.hub import Hub
    from backpack._media.output import StreamSource
    from backpack._outputs.rtsp.worker.auth import Auth
    from backpack._outputs.serving.worker.connections import ConnectionLimits

ANY_RTP_PORTS = (49152, 65535)
"""IANA's dynamic range. A port that is taken is passed over."""

BYE_MS = 300
"""Between a stream's end (RTCP BYE) and the end of its viewers' connections."""

LARGEST_BODY_BYTES = 64 * 1024
"""Of a request. What a player sends has no body, or a few lines."""

CLIENT_THREADS = 1
"""With more, gst-rtsp-server (1.22) answers 503 to who asks while the last viewer is leaving."""

POLL_SECONDS = 0.002

CLOSE_SECONDS = 2.0
"""How long the clients' thread may take to take its media down after `Server.close`."""

logger = logging.getLogger(__name__)


class Server:
    """
    One RTSP server: a socket, its mounts, its clients.

    All methods are called on the main thread, in whose (GLib's default)
    context connections are accepted; gst-rtsp-server talks to the clients on
    threads of its own.

    Args:
        settings: What it was asked to be; checked by `open`.
        clock_ns: The monotonic clock.
        limits: How many connections there may be. None: as many as usual.
        on_stats_changed: Called when `failed_logins` has grown.

    """

    def __init__(
        self,
        settings: RTSPServerSettings,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        limits: ConnectionLimits | None = None,
        on_stats_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._clock_ns = clock_ns
        self._on_stats_changed = on_stats_changed
        # None: not open.
        self._server: GstRtspServer.RTSPServer | None = None
        self._monitor: ClientMonitor | None = None
        self._door: Door | None = None
        self._auth: Auth | None = None
        self._limits = limits or (SECURE_LIMITS if settings.secure else LIMITS)
        self._handler = 0
        self._points = GstRtspServer.RTSPMountPoints.new()
        self._pool: GstRtspServer.RTSPAddressPool | None = None
        self._mounts: dict[str, Mount] = {}
        # Unmounted, but their viewers are still being told: by timer.
        self._ending: dict[int, Mount] = {}
        # Timers after which viewers of video that has got another size are closed.
        self._renewing: set[int] = set()
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
        if self._server is not None:
            raise StateError("This RTSP server is open. Close it before it is opened again.")
        self._settings.validate()
        address = self._settings.number or own_address(self._settings.address)
        context = server_context(self._settings.certificate, self._settings.key)
        with contextlib.ExitStack() as undo:
            sock = listen(address, self._settings.port, other_port=DEFAULT_PORT)
            undo.callback(sock.close)
            port: int = sock.getsockname()[1]
            self._auth = make_auth(self._settings, port, lambda: GLib.idle_add(self._tell))
            self._pool = None if self._settings.secure else _address_pool(self._settings, address)
            server = self._make_server()
            self._monitor = ClientMonitor(
                server,
                lambda: list(self._mounts.values()),
                self._clock_ns,
                self._settings.max_viewers,
            )
            self._door = Door(sock, server, context, self._limits)
            undo.pop_all()
        self._server = server
        return port

    def mount(self, path: str, source: StreamSource) -> None:
        """
        Serve a stream under a path.

        Raises:
            SettingsError: The path cannot be, or is taken.
            StateError: The server is not open.

        """
        self._add(path, hub=source.hub)

    def mount_launch(self, path: str, pipeline: str) -> None:
        """
        Serve what a GStreamer pipeline makes, under a path.

        Args:
            path: The mount path.
            pipeline: Launch text with a payloader that is called pay0. It runs
                while somebody watches.

        Raises:
            SettingsError: The path cannot be or is taken, or the pipeline
                cannot be made.
            StateError: The server is not open.

        """
        self._add(path, pipeline=check_launch(pipeline))

    def unmount(self, path: str) -> None:
        """
        Serve a path no more: its viewers are told (RTCP BYE), then disconnected.

        Returns at once; the path can be mounted again at once. A path that is
        not mounted is passed over.
        """
        mount = self._mounts.pop(path, None)
        if mount is None or self._server is None:
            return
        self._points.remove_factory(path)
        mount.end()
        timer = GLib.timeout_add(BYE_MS, self._on_bye_sent, mount)
        self._ending[timer] = mount

    def viewers(self, path: str) -> int:
        """Count the clients that really get a path's data now."""
        mount = self._mounts.get(path)
        return 0 if mount is None else mount.viewers()

    def lost(self, path: str) -> int:
        """Count the units that a path's viewers were too slow for."""
        mount = self._mounts.get(path)
        return 0 if mount is None else mount.lost

    def _tell(self) -> bool:
        if self._server is not None:
            self._on_stats_changed()
        return GLib.SOURCE_REMOVE

    def failed_logins(self) -> int:
        """Count the wrong passwords since it was opened."""
        return 0 if self._auth is None else self._auth.throttle.total

    def close(self) -> Future[None]:
        """
        Stop listening and close every client. Does not block. Idempotent.

        The port is free when this returns.

        Returns:
            What is done once all clients have gone, or hang.

        """
        if self._server is None or self._door is None or self._monitor is None:
            return self._closing
        server, monitor, door = self._server, self._monitor, self._door
        self._server = self._monitor = self._door = None
        door.close()
        for timer in (*self._ending, *self._renewing):
            GLib.source_remove(timer)
        self._renewing.clear()
        mounts = [*self._mounts.values(), *self._ending.values()]
        for path, mount in self._mounts.items():
            self._points.remove_factory(path)
            mount.end()
        self._mounts.clear()
        self._ending.clear()
        server.disconnect(self._handler)
        monitor.close()

        def wait() -> None:
            deadline = time.monotonic() + CLOSE_SECONDS
            for mount in mounts:
                mount.wait_gone(max(0.0, deadline - time.monotonic()))
            while monitor.count and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)

        def finish(_: Future[None]) -> None:
            for mount in mounts:
                mount.close()
            door.cut()
            closing.set_result(None)

        closing = self._closing = Future()
        in_background(wait, "spyglass-rtsp-end").add_done_callback(finish)
        return closing

    def _make_server(self) -> GstRtspServer.RTSPServer:
        # It does not listen itself: the door hands connections to it.
        server = GstRtspServer.RTSPServer.new()
        server.set_content_length_limit(LARGEST_BODY_BYTES)
        threads = GstRtspServer.RTSPThreadPool.new()
        threads.set_max_threads(CLIENT_THREADS)
        server.set_thread_pool(threads)
        server.set_mount_points(self._points)
        server.set_auth(self._auth)
        self._handler = server.connect("client-connected", self._on_client_connected)
        return server

    def _add(self, path: str, *, hub: Hub | None = None, pipeline: str | None = None) -> None:
        if self._server is None:
            raise StateError("This RTSP server is not open, so nothing can be mounted on it.")
        check_mount_path(path)
        if path in self._mounts:
            raise SettingsError(f"mount path {path!r} is taken on this server. Give another one.")
        mount = Mount(
            path,
            hub=hub,
            pipeline=pipeline,
            secure=self._settings.secure,
            pool=self._pool,
            on_resized=self._on_resized,
        )
        self._mounts[path] = mount
        self._points.add_factory(path, mount.factory)

    def _on_client_connected(
        self, _server: GstRtspServer.RTSPServer, client: GstRtspServer.RTSPClient
    ) -> None:
        # Main thread. The client's own requests come on its thread.
        connection = None if self._door is None else self._door.claim()
        if self._monitor is None or connection is None:
            return
        if self._auth is not None:
            self._auth.know(client, connection)
        client.connect("closed", self._on_closed)
        client.connect("describe-request", self._on_describe)
        client.connect("play-request", self._on_play)
        self._monitor.add(client, connection)

    def _on_closed(self, client: GstRtspServer.RTSPClient) -> None:
        # Client's thread.
        if self._auth is not None:
            self._auth.forget(client)

    def _on_describe(
        self, client: GstRtspServer.RTSPClient, context: GstRtspServer.RTSPContext
    ) -> None:
        # Client's thread.
        monitor = self._monitor
        if monitor is not None:
            monitor.note_described(client, context.media)

    def _on_play(
        self, _client: GstRtspServer.RTSPClient, context: GstRtspServer.RTSPContext
    ) -> None:
        # Client's thread. The dictionary is replaced by nobody; a copy of its
        # values is safe against the main thread's mount and unmount.
        media = context.media
        for mount in list(self._mounts.values()):
            mount.play(media)

    def _on_bye_sent(self, mount: Mount) -> bool:
        for timer, ending in list(self._ending.items()):
            if ending is mount:
                del self._ending[timer]
        if self._monitor is not None:
            self._monitor.close_viewers_of(mount.has)
        mount.close()
        return False

    def _on_resized(self, ended: list[GstRtspServer.RTSPMedia]) -> bool:
        """Have everybody who watches come again: the SDP, and what they made of it, is wrong."""

        def close_viewers() -> bool:
            self._renewing.discard(timer)
            if self._monitor is not None:
                self._monitor.close_viewers_of(ended.__contains__)
            # The timer's closure would keep them.
            ended.clear()
            return False

        timer = GLib.timeout_add(BYE_MS, close_viewers)
        self._renewing.add(timer)
        return False


def _address_pool(settings: RTSPServerSettings, address: str) -> GstRtspServer.RTSPAddressPool:
    """
    Name the UDP addresses that RTP may leave from.

    Without one gst-rtsp-server binds RTP and RTCP on every address of the
    machine, whatever address it was told to listen on.
    """
    low, high = ANY_RTP_PORTS if settings.rtp_ports is None else settings.rtp_ports
    pool = GstRtspServer.RTSPAddressPool.new()
    families = [address]
    if is_wildcard(address) and ":" in address:
        # "::" takes IPv4 clients too.
        families.append("0.0.0.0")  # noqa: S104 - it was asked for
    for one in families:
        if not pool.add_range(one, one, low, high, 0):
            raise SettingsError(f"rtp_ports=({low}, {high}) cannot be used on {one}.")
    return pool


def make_server(settings: Mapping[str, Any], on_stats_changed: Callable[[], None]) -> Server:
    """
    Return the server that the application has described, not open yet.

    Raises:
        SettingsError: A setting is unknown.

    """
    return Server(RTSPServerSettings.from_dict(settings), on_stats_changed=on_stats_changed)
