"""Listen for RTSP clients: the server as the application makes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from backpack._app.predecessor import RTSP_SERVER, OldNames
from backpack._lib.addresses import is_loopback
from backpack._lib.paths import check_mount_path
from backpack._lib.tls import absolute_path
from backpack._lib.validation import DEFAULT_MAX_VIEWERS, port_number
from backpack._outputs.rtsp.settings import DEFAULT_PORT, RTSPServerSettings
from backpack._outputs.serving.kind import Kind
from backpack._outputs.serving.server import ListeningServer
from backpack._registry import type_named
from backpack.errors import SettingsError

if TYPE_CHECKING:
    import logging
    import os
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from backpack._app.output import OutputOptions
    from backpack._ipc.messages import OpenServer
    from backpack._outputs.serving.place import Place

KIND = Kind(
    type=type_named("rtsp"),
    server="RTSP server",
    class_name="RTSPServer",
    article="an",
    check_path=check_mount_path,
)


class RTSPServer(ListeningServer, OldNames):
    """
    A server for RTSP clients, with any number of streams.

    The server itself runs in the streaming process. It listens on this
    machine's loopback address unless another one is given. RTP is sent from
    the same address.

    Any thread may call any method.

    Args:
        port: TCP port. 0: a free one; `port` is its number once started.
        parent_logger: Parent of the logger that is used. None: ``backpack.rtsp``.
        address: Address of this machine to listen on; ``"0.0.0.0"`` for all.
        users: Names and passwords. Clients log in by digest authentication.
        certificate: File with a TLS certificate (PEM), which makes it RTSPS.
        key: File with the certificate's private key (PEM). None: it is in
            the same file.
        rtp_ports: First and last UDP port for RTP and RTCP. None: any.
        allow_anonymous: Whether other machines may watch without logging in.
        max_viewers: Most viewers at a time. Others are answered with 503.
        required: Whether `start` raises where streaming cannot run at all.
            Otherwise that is logged and tried again.

    Raises:
        SettingsError: A value is invalid, or other machines can reach the
            address and there are no users.

    """

    _kind: ClassVar[Kind] = KIND
    _old_names = RTSP_SERVER

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
        max_viewers: int = DEFAULT_MAX_VIEWERS,
        required: bool = False,
    ) -> None:
        # Path → launch text of a pipeline of the application's own.
        self._launches: dict[str, str] = {}
        settings = RTSPServerSettings(
            address=address,
            port=port_number(port),
            users=dict(users or {}),
            certificate=absolute_path(certificate),
            key=absolute_path(key),
            rtp_ports=rtp_ports,
            allow_anonymous=allow_anonymous,
            max_viewers=max_viewers,
        )
        super().__init__(settings, parent_logger, required=required)

    @classmethod
    def _listening_at(cls, place: Place, options: OutputOptions) -> Self:
        return cls(
            place.port,
            address=place.address,
            users={**options.users, **place.users},
            certificate=options.certificate if place.is_secure else None,
            key=options.key if place.is_secure else None,
            rtp_ports=options.rtp_ports,
            allow_anonymous=options.allow_anonymous,
        )

    @property
    def streams(self) -> dict[str, str]:
        """The paths that are served, each with its pipeline. Empty for streams of frames."""
        return {**dict.fromkeys(self._paths, ""), **self._launches}

    def add_stream(self, mount_point: str, pipeline: str) -> None:
        """
        Serve a GStreamer pipeline as one more stream.

        Args:
            mount_point: The path, for example ``"/door"``.
            pipeline: A pipeline as `gst-launch-1.0` takes it, whose payloader
                has the name ``pay0``. It runs while somebody watches.

        Raises:
            SettingsError: The path is invalid, or is served already.

        """
        path = KIND.checked_path(mount_point)
        with self._life:
            if path in self._launches:
                raise self._taken(path)
            self._claim(path, self)
            self._launches[path] = pipeline
            self._send_launches()

    def remove_stream(self, mount_point: str) -> None:
        """
        Stop serving a pipeline.

        Raises:
            SettingsError: No pipeline is served at the path.

        """
        path = KIND.checked_path(mount_point)
        with self._life:
            if path not in self._launches:
                raise SettingsError(f"No pipeline of add_stream() is served at {path!r}.")
            del self._launches[path]
            self._paths.pop(path, None)
            self._send_launches()

    def __repr__(self) -> str:
        """Show the addresses of the streams."""
        return f"<{type(self).__name__} streams=[{', '.join(self.urls())}]>"

    def _announcement(self, hosts: Sequence[str]) -> str:
        paths = list(self._paths) or ["/"]
        where = ", ".join(self.url(path, host) for host in hosts for path in paths)
        if all(is_loopback(host) for host in hosts):
            # The one of panorama-backpack listened on every address.
            return f"RTSP at {where}, for this machine only (address= names another address)"
        return f"RTSP at {where}"

    def _open_message(self, remote_id: int) -> OpenServer:
        return replace(super()._open_message(remote_id), launches=dict(self._launches))

    def _send_launches(self) -> None:
        """Send a running server its pipelines; it knows the ones it has."""
        if self._is_started:
            self._remote.send(self._open_message(self.id))
