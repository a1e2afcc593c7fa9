"""Turn URLs and options into the servers and outputs of a stream."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from backpack._app.output import as_output, mask
from backpack._cli.failure import USAGE, Failure
from backpack._outputs.rtsp.output import RTSPOutput
from backpack._outputs.web.output import WebOutput
from backpack._outputs.web.server import new_token
from backpack._outputs.web.settings import check_stream_path
from backpack.errors import SettingsError
from backpack.rtsp import RTSPServer
from backpack.web import WebServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._app.output import Output


@dataclass(frozen=True)
class _Scheme:
    """What a URL says of the server that it names."""

    port: int
    is_tls: bool
    is_web: bool


_SCHEMES: Final = {
    "rtsp": _Scheme(8554, is_tls=False, is_web=False),
    "rtsps": _Scheme(8322, is_tls=True, is_web=False),
    "http": _Scheme(8080, is_tls=False, is_web=True),
    "https": _Scheme(8443, is_tls=True, is_web=True),
}

# Scheme, host and port: whoever names the same ones means the same server.
_Place = tuple[str, str, int]


@dataclass(frozen=True)
class Access:
    """
    Who may watch, and how.

    Attributes:
        users: Names and passwords.
        certificate: File with the certificate of rtsps:// and https:// servers.
        key: File with its private key.
        rtp_ports: First and last UDP port to send from.
        allow_anonymous: Whether others may watch without a login.
        allowed_hosts: Names under which browsers may ask for the page.

    """

    users: dict[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    key: str | None = None
    rtp_ports: tuple[int, int] | None = None
    allow_anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()


def default_urls(name: str, access: Access) -> list[str]:
    """
    Give the URLs to listen on where none was given: a page and RTSP, on this machine.

    The page's usual port is a usual one of others, too: where it is taken, any does.
    Some names are the page's own; a stream cannot have them.
    """
    try:
        check_stream_path(f"/{name}")
    except SettingsError:
        name = f"{name}_video"
    web, rtsp = ("https", "rtsps") if access.certificate is not None else ("http", "rtsp")
    port = _SCHEMES[web].port
    return [
        f"{web}://127.0.0.1:{port if _is_free(port) else 0}/{name}",
        f"{rtsp}://127.0.0.1:{_SCHEMES[rtsp].port}/{name}",
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password."""
    return mask(url) != url and bool(urlsplit(url).password)


def make_outputs(urls: Sequence[str], access: Access) -> list[Output]:
    """
    Make the outputs that the URLs stand for.

    Those with the same scheme, host and port share a server. What does not
    listen is left to the library.

    Raises:
        Failure: A URL or option that cannot be.
        SettingsError: The same, found by the library.

    """
    parts = {url: _split(url) for url in urls}
    places = {url: _place(url, part) for url, part in parts.items() if _listens(part)}
    if access.certificate is not None and not any(
        _SCHEMES[place[0]].is_tls for place in places.values()
    ):
        raise Failure("--certificate is for rtsps:// and https:// URLs, and there is none.", USAGE)
    users: dict[_Place, dict[str, str]] = {}
    for url, place in places.items():
        users.setdefault(place, dict(access.users)).update(_login(parts[url]))
    servers = {place: _make_server(place, logins, access) for place, logins in users.items()}
    return [
        _serve(servers[places[url]], parts[url].path or "/")
        if url in places
        else as_output(url, allow_anonymous=access.allow_anonymous, required=True)
        for url in urls
    ]


def _serve(server: RTSPServer | WebServer, path: str) -> Output:
    if isinstance(server, WebServer):
        return WebOutput(server, path, starts_server=True, required=True)
    return RTSPOutput(server, path, starts_server=True, required=True)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Failure(f"{mask(url)}: this is no URL: {error}.", USAGE) from error


def _listens(parts: SplitResult) -> bool:
    return parts.scheme.lower() in _SCHEMES


def _place(url: str, parts: SplitResult) -> _Place:
    if parts.query or parts.fragment:
        raise Failure(f"{mask(url)}: a path ends before '?' and '#'.", USAGE)
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:
        raise Failure(f"{mask(url)}: the port is no number from 0 to 65535.", USAGE) from None
    if port is None:
        port = _SCHEMES[scheme].port
    host = parts.hostname or "127.0.0.1"
    return (scheme, "127.0.0.1" if host == "localhost" else host, port)


def _login(parts: SplitResult) -> dict[str, str]:
    if not parts.username:
        return {}
    return {unquote(parts.username): unquote(parts.password or "")}


def _make_server(place: _Place, users: dict[str, str], access: Access) -> RTSPServer | WebServer:
    name, host, port = place
    scheme = _SCHEMES[name]
    if scheme.is_tls and access.certificate is None:
        raise Failure(f"{name}:// needs --certificate PEM, and --key PEM or both in one.", USAGE)
    certificate = access.certificate if scheme.is_tls else None
    key = access.key if scheme.is_tls else None
    if scheme.is_web:
        return WebServer(
            port,
            address=host,
            # Given, so that the command alone prints the address.
            token=None if access.allow_anonymous else new_token(),
            users=users,
            certificate=certificate,
            key=key,
            allow_anonymous=access.allow_anonymous,
            allowed_hosts=access.allowed_hosts,
        )
    return RTSPServer(
        port,
        address=host,
        users=users,
        certificate=certificate,
        key=key,
        rtp_ports=access.rtp_ports,
        allow_anonymous=access.allow_anonymous,
    )
