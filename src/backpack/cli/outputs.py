"""Turn URLs and options into the servers and outputs of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from backpack.cli.failure import USAGE, Failure
from backpack.rtsp import RTSPOutput, RTSPServer
from backpack.rtsp.settings import DEFAULT_PORT
from backpack.spyglass.outputs import as_output, mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack.spyglass.outputs import Output

__all__ = ["Access", "default_url", "has_password", "make_outputs"]

_TLS_PORT: Final = 8322

# Host, port, and whether it speaks TLS.
_Place = tuple[str, int, bool]


@dataclass(frozen=True)
class Access:
    """
    Who may watch, and how.

    Attributes:
        users: Names and passwords.
        certificate: File with the certificate of rtsps:// servers.
        key: File with its private key.
        rtp_ports: First and last UDP port to send from.
        allow_anonymous: Whether others may watch without a login.

    """

    users: dict[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    key: str | None = None
    rtp_ports: tuple[int, int] | None = None
    allow_anonymous: bool = False


def default_url(name: str, access: Access) -> str:
    """Give the URL to listen on where none was given."""
    if access.certificate is not None:
        return f"rtsps://127.0.0.1:{_TLS_PORT}/{name}"
    return f"rtsp://127.0.0.1:{DEFAULT_PORT}/{name}"


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password."""
    return mask(url) != url and bool(urlsplit(url).password)


def make_outputs(urls: Sequence[str], access: Access) -> list[Output]:
    """
    Make the outputs that the URLs stand for.

    Those of RTSP with the same host and port share a server. Other schemes
    are left to `SpyGlass`.

    Raises:
        Failure: A URL or option that cannot be.
        SettingsError: The same, found by the library.

    """
    parts = {url: _split(url) for url in urls}
    places = {url: _place(url, part) for url, part in parts.items() if _is_rtsp(part)}
    if access.certificate is not None and not any(tls for _, _, tls in places.values()):
        raise Failure("--certificate is for rtsps:// URLs, and there is none.", USAGE)
    users: dict[_Place, dict[str, str]] = {}
    for url, place in places.items():
        users.setdefault(place, dict(access.users)).update(_login(parts[url]))
    servers = {place: _make_server(place, logins, access) for place, logins in users.items()}
    return [
        RTSPOutput(servers[places[url]], parts[url].path or "/", starts_server=True, required=True)
        if url in places
        else as_output(url, allow_anonymous=access.allow_anonymous, required=True)
        for url in urls
    ]


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Failure(f"{mask(url)}: this is no URL: {error}.", USAGE) from error


def _is_rtsp(parts: SplitResult) -> bool:
    return parts.scheme.lower() in ("rtsp", "rtsps")


def _place(url: str, parts: SplitResult) -> _Place:
    if parts.query or parts.fragment:
        raise Failure(f"{mask(url)}: a path ends before '?' and '#'.", USAGE)
    is_tls = parts.scheme.lower() == "rtsps"
    try:
        port = parts.port
    except ValueError:
        raise Failure(f"{mask(url)}: the port is no number from 0 to 65535.", USAGE) from None
    if port is None:
        port = _TLS_PORT if is_tls else DEFAULT_PORT
    host = parts.hostname or "127.0.0.1"
    return ("127.0.0.1" if host == "localhost" else host, port, is_tls)


def _login(parts: SplitResult) -> dict[str, str]:
    if not parts.username:
        return {}
    return {unquote(parts.username): unquote(parts.password or "")}


def _make_server(place: _Place, users: dict[str, str], access: Access) -> RTSPServer:
    host, port, is_tls = place
    if is_tls and access.certificate is None:
        raise Failure("rtsps:// needs --certificate PEM, and --key PEM or both in one.", USAGE)
    return RTSPServer(
        port,
        address=host,
        users=users,
        certificate=access.certificate if is_tls else None,
        key=access.key if is_tls else None,
        rtp_ports=access.rtp_ports,
        allow_anonymous=access.allow_anonymous,
    )
