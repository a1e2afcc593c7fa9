"""Listen for RTSP clients: the server as the application makes it."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backpack.errors import MissingDependencyError, SettingsError, StateError
from backpack.handover.messages import CloseServer, OpenServer
from backpack.handover.tenancy import Tenancy
from backpack.rtsp.addresses import for_url
from backpack.rtsp.interfaces import reachable_addresses
from backpack.rtsp.settings import DEFAULT_PORT, RTSPServerSettings, check_mount_path
from backpack.settings import is_disabled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from backpack.errors import BackpackError
    from backpack.handover.messages import Message, Opened

__all__ = ["RTSPServer", "checked_path", "server_at"]

_CLOSE_SECONDS = 3.0


class RTSPServer:
    """
    Listen for RTSP clients, for any number of streams.

    The server itself runs in the streaming process. It listens on this
    machine's loopback address unless another one is named, and on no other:
    not with its RTP ports either.

    Every method may be called from any thread.

    Args:
        port: TCP port. 0: one that is free, told by `port` once started.
        parent_logger: The logger that ours becomes a child of.
        address: Address of this machine to listen on; ``"0.0.0.0"`` for all.
        users: Names and passwords. Clients log in by digest authentication.
        certificate: File with a TLS certificate (PEM), which makes it RTSPS.
        key: File with the certificate's private key (PEM). None: it is in
            the same file.
        rtp_ports: First and last UDP port for RTP and RTCP. None: any.
        allow_anonymous: Whether an address that others can reach may be
            watched without logging in.
        required: Whether `start` raises where streaming cannot run at all.
            Otherwise that is logged, and tried again.

    Raises:
        SettingsError: A value that cannot be, or an address that others can
            reach while there are no users.

    """

    def __init__(  # noqa: PLR0913 - every setting has a name
        self,
        port: str | int = DEFAULT_PORT,
        parent_logger: logging.Logger | None = None,
        *,
        address: str = "127.0.0.1",
        users: Mapping[str, str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        rtp_ports: tuple[int, int] | None = None,
        allow_anonymous: bool = False,
        required: bool = False,
    ) -> None:
        name = type(self).__name__
        self.logger = (
            parent_logger.getChild(name)
            if parent_logger is not None
            else logging.getLogger("backpack.rtsp")
        )
        self._required = required
        self._settings = RTSPServerSettings(
            address=address,
            port=_port_number(port),
            users=dict(users or {}),
            certificate=None if certificate is None else str(Path(certificate).absolute()),
            key=None if key is None else str(Path(key).absolute()),
            rtp_ports=rtp_ports,
            allow_anonymous=allow_anonymous,
        )
        self._settings.validate()
        self._life = threading.RLock()
        # How many started streams stand on a server that only they have started.
        self._holders = 0
        self._started_by_app = False
        # Path → launch text of a pipeline of the application's own.
        self._launches: dict[str, str] = {}
        # Path → the stream that is served there, told by the outputs.
        self._paths: dict[str, object] = {}
        # One for the server's whole life: streams name it by its number.
        self._tenancy = Tenancy(
            opening=self._opening, on_opened=self._on_opened, on_lost=self._on_lost
        )
        self._is_open = False
        # Set in a child that was forked while we existed.
        self._is_forked_copy = False
        _instances.add(self)
        with _servers_lock:
            if self._settings.port:
                _servers.setdefault((address, self._settings.port), self)

    @property
    def port(self) -> int:
        """The TCP port; once started the one that was bound where 0 was asked."""
        return self._settings.port

    @property
    def address(self) -> str:
        """The address that it listens on."""
        return self._settings.address

    @property
    def streams(self) -> dict[str, str]:
        """The paths that are served, each with its pipeline or an empty text."""
        return {**dict.fromkeys(self._paths, ""), **self._launches}

    def start(self) -> None:
        """
        Listen. Does nothing where it already does.

        Raises:
            AddressInUseError: Another program listens there.
            SettingsError: A certificate or key that cannot be used.
            OutputError: The address cannot be listened on.
            MissingDependencyError: Streaming cannot run here, and
                ``required=True`` was asked.
            StateError: The process was forked after this object was made.

        """
        self._check_fork("start")
        with self._life:
            self._open()
            self._started_by_app = True

    def stop(self) -> None:
        """Close the socket and all clients. Does nothing where it is not started."""
        if self._is_forked_copy:
            return
        with self._life:
            self._started_by_app = False
            self._close()

    def __enter__(self) -> Self:
        """Listen."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self.stop()

    def add_stream(self, mount_point: str, pipeline: str) -> None:
        """
        Serve a GStreamer pipeline of your own.

        Args:
            mount_point: The path, for example ``"/door"``.
            pipeline: A pipeline as `gst-launch-1.0` takes it, whose payloader
                has the name ``pay0``. It runs while somebody watches.

        Raises:
            SettingsError: No path, or one that is served already.

        """
        path = checked_path(mount_point)
        with self._life:
            if path in self._launches:
                raise self._taken(path)
            self._claim(path, self)
            self._launches[path] = pipeline
            self._send_launches()

    def remove_stream(self, mount_point: str) -> None:
        """
        Serve a pipeline no longer.

        Raises:
            SettingsError: None is served there.

        """
        path = checked_path(mount_point)
        with self._life:
            if path not in self._launches:
                raise SettingsError(f"No pipeline of add_stream() is served at {path!r}.")
            del self._launches[path]
            self._paths.pop(path, None)
            self._send_launches()

    def urls(self) -> list[str]:
        """Give the addresses of all streams, as clients can reach them from where it listens."""
        return [self.url(path, host) for path in self.streams for host in self._hosts()]

    def url(self, path: str, host: str | None = None) -> str:
        """Give the address of one stream."""
        host = host or self._hosts()[0]
        scheme = "rtsps" if self._settings.secure else "rtsp"
        return f"{scheme}://{for_url(host)}:{self.port}{path}"

    def _hosts(self) -> Sequence[str]:
        return reachable_addresses(self._settings.address)

    def __repr__(self) -> str:
        """Show the addresses of the streams."""
        return f"<{type(self).__name__} streams=[{', '.join(self.urls())}]>"

    # --- for outputs -----------------------------------------------------------

    def _claim(self, path: str, owner: object) -> None:
        """Give a path to somebody; two streams cannot share one."""
        with self._life:
            if self._paths.get(path, owner) is not owner:
                raise self._taken(path)
            self._paths[path] = owner

    def _taken(self, path: str) -> SettingsError:
        return SettingsError(
            f"The path {path!r} is taken already on port {self.port}. Choose another one."
        )

    def _hold(self, path: str, owner: object, *, start: bool, required: bool) -> int:
        """Keep a path for a stream, and the server running where asked; give the server's id."""
        self._check_fork("start_streaming")
        with self._life:
            self._claim(path, owner)
            if start:
                self._holders += 1
                try:
                    self._open(required=required)
                except BaseException:
                    self._holders -= 1
                    self._paths.pop(path, None)
                    raise
        return self.id

    def _release(self, path: str, *, stop: bool) -> None:
        with self._life:
            self._paths.pop(path, None)
            if stop:
                self._holders -= 1
                if not self._holders and not self._started_by_app:
                    self._close()

    # --- as a tenant -----------------------------------------------------------

    @property
    def id(self) -> int:
        """The number by which the streaming process knows it."""
        return self._tenancy.id

    def _open(self, *, required: bool = False) -> None:
        if self._is_open or is_disabled():
            return
        try:
            self._tenancy.open(required=required or self._required)
        except BaseException:
            self._tenancy.close(CloseServer(self.id), _CLOSE_SECONDS)
            raise
        self._is_open = True

    def _check_fork(self, call: str) -> None:
        if self._is_forked_copy:
            raise StateError(
                f"{call}() was called in a process that was forked from the one that made this "
                "RTSPServer. Make a new one in the forked process."
            )

    def _close(self) -> None:
        if self._is_open:
            self._tenancy.close(CloseServer(self.id), _CLOSE_SECONDS)
        self._is_open = False

    def _opening(self, tenancy_id: int) -> list[tuple[Message, Sequence[int]]]:
        return [(self._open_message(tenancy_id), ())]

    def _open_message(self, tenancy_id: int) -> OpenServer:
        return OpenServer(tenancy_id, "rtsp", self._settings.to_dict(), dict(self._launches))

    def _send_launches(self) -> None:
        """Tell a running server its pipelines; it knows the ones it has."""
        if self._is_open:
            self._tenancy.send(self._open_message(self.id))

    def _on_opened(self, message: Opened) -> None:
        # The number is kept: after a restart viewers come back to it.
        port = message.info.get("port")
        if isinstance(port, int):
            self._settings = replace(self._settings, port=port)
            with _servers_lock:
                # A URL with this number means this server.
                _servers.setdefault((self.address, port), self)

    def _on_lost(self, error: BackpackError | None) -> None:
        # That nothing can stream at all the supervisor says, once for all.
        if error is not None and not isinstance(error, MissingDependencyError):
            self.logger.warning("The RTSP server on port %d is not open: %s", self.port, error)


# Address and port → the server that listens there, so that URLs with the same
# host and port share one, also with a server that the application has made.
_servers: weakref.WeakValueDictionary[tuple[str, int], RTSPServer] = weakref.WeakValueDictionary()
_servers_lock = threading.Lock()
_instances: weakref.WeakSet[RTSPServer] = weakref.WeakSet()


def server_at(address: str, port: int) -> RTSPServer | None:
    """Give the server that listens there, or is to, so that URLs can share it."""
    with _servers_lock:
        return _servers.get((address, port))


def _after_fork_in_child() -> None:
    global _servers_lock  # noqa: PLW0603 - another thread may have held it at the fork
    _servers_lock = threading.Lock()
    _servers.clear()
    for server in list(_instances):
        server._is_forked_copy = True  # noqa: SLF001 - our own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def checked_path(path: str) -> str:
    """Give a mount path with its slash, or refuse it."""
    path = path if path.startswith("/") else f"/{path}"
    check_mount_path(path)
    return path


def _port_number(port: str | int) -> int:
    try:
        return int(port)
    except (TypeError, ValueError):
        raise SettingsError(f"port={port!r}: give a whole number from 0 to 65535.") from None
