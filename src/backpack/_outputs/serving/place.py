"""Where a URL wants a server to listen, and the server that does so already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from backpack._app.output import mask, scheme_of
from backpack._outputs.serving.registry import server_at
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backpack._outputs.serving.kind import Kind
    from backpack._outputs.serving.server import ListeningServer

_Server = TypeVar("_Server", bound="ListeningServer")


@dataclass(frozen=True)
class Place:
    """Where ``scheme://[user:password@]host[:port]/path`` wants a server, and what it shows."""

    url: str = field(repr=False)
    is_secure: bool
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
    scheme = scheme_of(url)
    try:
        port = parts.port
    except ValueError:
        raise SettingsError(f"{mask(url)!r}: the port is no number from 0 to 65535.") from None
    if parts.query or parts.fragment:
        raise SettingsError(f"{mask(url)!r}: a path ends before '?' and '#'.")
    address = parts.hostname or "127.0.0.1"
    return Place(
        url=url,
        is_secure=scheme == kind.type.secure_scheme,
        address="127.0.0.1" if address == "localhost" else address,
        port=kind.type.port_of(scheme) if port is None else port,
        users={unquote(parts.username): unquote(parts.password or "")} if parts.username else {},
        path=parts.path or "/",
    )


def running_server(
    place: Place, server_class: type[_Server], users: Mapping[str, str]
) -> _Server | None:
    """
    Return the server that a place stands for already: the same host and port are the same server.

    Args:
        place: What the URL says.
        server_class: The class of the server.
        users: Who has to be able to log in.

    Raises:
        SettingsError: It has other users than the URL, or the URL has the wrong scheme for it.

    """
    server = server_at(server_class, place.address, place.port)
    if server is None:
        return None
    settings = server._settings  # noqa: SLF001 - of this room
    kind = server._kind  # noqa: SLF001
    if place.is_secure != settings.secure:
        scheme = kind.type.secure_scheme if settings.secure else kind.type.scheme
        raise SettingsError(
            f"{mask(place.url)!r}: the server on port {place.port} is reached by {scheme}://."
        )
    if not users.items() <= settings.users.items():
        raise SettingsError(
            f"{mask(place.url)!r}: the server on port {place.port} has other users. Give all its "
            f"URLs the same ones, or make {kind.article} {kind.class_name}(users={{...}})."
        )
    return server


def need_certificate(place: Place, kind: Kind) -> SettingsError:
    """Return the error for a URL with TLS where there is no server and no certificate."""
    return SettingsError(
        f"{mask(place.url)!r}: {kind.type.secure_scheme.upper()} needs a certificate, which a URL "
        f"cannot hold. Make the server before: {kind.class_name}({place.port}, "
        "certificate='cert.pem', key='key.pem'); the URL then means it."
    )
