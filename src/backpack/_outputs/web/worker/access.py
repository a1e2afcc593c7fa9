"""
Decide who may watch.

Three questions, in this order. Is the host that the browser asked for ours?
A foreign name would mean that a foreign page has pointed it at us (DNS
rebinding). Who asks: by token, cookie or password? And does what changes
something, or opens a WebSocket, come from a page of our own?

Nothing here reads a clock or a socket.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import ipaddress
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backpack._outputs.web.settings import WebServerSettings


class AuthResult(enum.Enum):
    """How somebody came in, or did not."""

    OPEN = "anybody may"
    COOKIE = "by the cookie"
    TOKEN = "by the token in the address"  # noqa: S105 - no secret
    HEADER = "by the Authorization header"
    NOTHING = "nothing was shown"
    WRONG = "something wrong was shown"

    @property
    def is_in(self) -> bool:
        """Whether that lets one in."""
        return self not in (AuthResult.NOTHING, AuthResult.WRONG)


def host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case and without the port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
        name = parts.hostname
    except ValueError:
        return None
    odd = parts.path or parts.query or parts.fragment or "@" in host
    if odd or not name or not host.isascii() or not host.isprintable() or " " in host:
        return None
    return name


def cookies_named(name: str, headers: Iterable[str]) -> list[str]:
    """
    Return the values of one's own cookie in the Cookie headers of a request.

    What surrounds it is of other programs at the same host, and often no cookie
    by the book: parsers stumble over it, and lose those behind. There may be
    several, since a page of another port can set one of the same name.
    """
    pairs = (pair.partition("=") for header in headers for pair in header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


class Authenticator:
    """
    Know the secrets of one server, and compare them in constant time.

    Args:
        settings: What the server was asked to be.
        instance: Tells this server's cookie from those of others at the same
            name: cookies know no ports, and many servers come as localhost
            through tunnels.

    """

    def __init__(self, settings: WebServerSettings, instance: str) -> None:
        self._settings = settings
        self._hosts = {"localhost", *(name.lower().strip("[]") for name in settings.allowed_hosts)}
        self._hosts.add(settings.address.lower().strip("[]"))
        secret = json.dumps([settings.token, sorted(settings.users.items())]).encode()
        self.cookie_name = f"spyglass-{hashlib.sha256(instance.encode()).hexdigest()[:10]}"
        # Not the token itself: whoever sees a browser's cookies cannot pass on the address.
        self.cookie_value = hmac.new(secret, b"cookie", hashlib.sha256).hexdigest()

    def host_is_ours(self, name: str, local_address: str) -> bool:
        """
        Return whether a browser may call this server by a name.

        Args:
            name: As `host_name` gives it.
            local_address: The address that the connection came in at: it is
                ours, and no name that could be pointed elsewhere.

        """
        if name in self._hosts or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or address == _plain_address(local_address)

    def look(
        self, *, token: str | None = None, cookie: str | None = None, header: str | None = None
    ) -> AuthResult:
        """Decide by what was shown: the address's token, the cookie, the Authorization header."""
        if self._settings.is_open:
            return AuthResult.OPEN
        if token is not None:
            return AuthResult.TOKEN if self._is_token(token) else AuthResult.WRONG
        if header is not None:
            return AuthResult.HEADER if self._header_is_right(header) else AuthResult.WRONG
        if cookie is not None and _same(cookie, self.cookie_value):
            return AuthResult.COOKIE
        # A cookie of before the application was restarted is no guess.
        return AuthResult.NOTHING

    def origin_is_ours(self, origin: str | None, host: str, entry: AuthResult) -> bool:
        """
        Return whether a WebSocket or a change comes from a page of our own.

        A browser always says where it comes from; who does not is none, and
        must have shown more than the cookie, which a browser sends by itself.
        """
        if origin is None:
            return entry is not AuthResult.COOKIE
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()

    @property
    def asks_for_password(self) -> bool:
        """Whether there are users, whom a browser can ask for their password."""
        return bool(self._settings.users)

    def _is_token(self, given: str) -> bool:
        return self._settings.token is not None and _same(given, self._settings.token)

    def _header_is_right(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        given = given.strip()
        if scheme.lower() == "bearer":
            return self._is_token(given)
        if scheme.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        # An unknown name takes as long as a wrong password.
        expected = self._settings.users.get(name, "")
        return _same(password, expected) and bool(colon and expected)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; one of IPv4 that came in over IPv6 is given as what it is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
