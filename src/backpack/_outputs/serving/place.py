"""Read where a URL wants a server to listen, and find the one that does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from backpack._app.output import mask
from backpack._outputs.serving.registry import server_at
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from backpack._outputs.serving.kind import Kind
    from backpack._outputs.serving.server import ListeningServer

_Server = TypeVar("_Server", bound="ListeningServer")


@dataclass(frozen=True)
class Place:
    """Where ``scheme://[user:password@]host[:port]/path`` wants a server, and what it shows."""

    url: str = field(repr=False)
    address: str
    port: int
    users: dict[str, str] = field(repr=False)
    path: str


def place_of(url: str, kind: Kind) -> Place:
    """
    Read a URL to listen on.

    Raises:
        SettingsError: It cannot be listened on.

    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise SettingsError(f"{mask(url)!r}: the port is no number from 0 to 65535.") from None
    if parts.scheme.lower() == kind.secure_scheme:
        raise SettingsError(
            f"{mask(url)!r}: {kind.secure_scheme.upper()} needs a certificate, which a URL cannot "
            f"hold. Make the server: {kind.class_name}({kind.secure_port}, "
            "certificate='cert.pem', key='key.pem')."
        )
    if parts.query or parts.fragment:
        raise SettingsError(f"{mask(url)!r}: a path ends before '?' and '#'.")
    address = parts.hostname or "127.0.0.1"
    return Place(
        url=url,
        address="127.0.0.1" if address == "localhost" else address,
        port=kind.port if port is None else port,
        users={unquote(parts.username): unquote(parts.password or "")} if parts.username else {},
        path=parts.path or "/",
    )


def running_server(place: Place, server_class: type[_Server]) -> _Server | None:
    """
    Give the server that a place stands for already: the same host and port are the same server.

    Raises:
        SettingsError: It has other users than the URL.

    """
    server = server_at(server_class, place.address, place.port)
    if server is None:
        return None
    if place.users and place.users != server._settings.users:  # noqa: SLF001 - of this room
        kind = server._kind  # noqa: SLF001
        raise SettingsError(
            f"{mask(place.url)!r}: the server on port {place.port} has other users. Give all its "
            f"URLs the same ones, or make {kind.article} {kind.class_name}(users={{...}})."
        )
    return server
