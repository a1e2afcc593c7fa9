"""Serve a stream at a path of a server: the output as the application names it."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from backpack.errors import SettingsError
from backpack.rtsp.app_server import RTSPServer, checked_path, server_at
from backpack.rtsp.settings import DEFAULT_PORT
from backpack.spyglass.outputs import mask

__all__ = ["RTSPOutput", "output_from_url"]


class RTSPOutput:
    """
    Serve a stream at one path of one server.

    Args:
        server: The server.
        path: The path, with or without its slash.
        starts_server: Whether the server runs exactly as long as streams need
            it. False: the application starts and stops it.
        required: Whether starting the server raises where nothing can stream.

    """

    def __init__(
        self, server: RTSPServer, path: str, *, starts_server: bool, required: bool = False
    ) -> None:
        self.server = server
        self.path = checked_path(path)
        self._starts_server = starts_server
        self._required = required
        self._server_id = 0

    def describe(self) -> dict[str, Any]:
        """Give what the streaming process needs."""
        return {"kind": "rtsp", "server": self._server_id, "path": self.path}

    def hold(self) -> None:
        """Take the path, and start the server where it is ours to start."""
        self._server_id = self.server._hold(  # noqa: SLF001 - of this room
            self.path, self, start=self._starts_server, required=self._required
        )

    def release(self) -> None:
        """Give the path back, and stop the server where nobody needs it."""
        self.server._release(self.path, stop=self._starts_server)  # noqa: SLF001

    def urls(self) -> list[str]:
        """Give the addresses of this stream."""
        hosts = self.server._hosts()  # noqa: SLF001
        return [self.server.url(self.path, host) for host in hosts]


def output_from_url(
    url: str, *, allow_anonymous: bool = False, required: bool = False
) -> RTSPOutput:
    """
    Make the output that ``rtsp://[user:password@]host[:port]/path`` stands for.

    The same host and port are the same server.

    Raises:
        SettingsError: The URL cannot be listened on.

    """
    parts = urlsplit(url)
    is_tls = parts.scheme.lower() == "rtsps"
    try:
        port = parts.port
    except ValueError:
        raise SettingsError(f"{mask(url)!r}: the port is no number from 0 to 65535.") from None
    if is_tls:
        raise SettingsError(
            f"{mask(url)!r}: RTSPS needs a certificate, which a URL cannot hold. Make the server: "
            "RTSPServer(8322, certificate='cert.pem', key='key.pem')."
        )
    if parts.query or parts.fragment:
        raise SettingsError(f"{mask(url)!r}: a path ends before '?' and '#'.")
    if port is None:
        port = DEFAULT_PORT
    address = parts.hostname or "127.0.0.1"
    if address == "localhost":
        address = "127.0.0.1"
    users = {unquote(parts.username): unquote(parts.password or "")} if parts.username else {}
    server = server_at(address, port) if port else None
    if server is None:
        server = RTSPServer(port, address=address, users=users, allow_anonymous=allow_anonymous)
    elif users and users != server._settings.users:  # noqa: SLF001 - of this room
        raise SettingsError(
            f"{mask(url)!r}: the server on port {port} has other users. Give all its URLs the "
            "same ones, or make an RTSPServer(users={...})."
        )
    return RTSPOutput(server, parts.path or "/", starts_server=True, required=required)
