"""The proxy that leads out of the application's network, as its environment says."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROXY_VARIABLE: Final = "HTTPS_PROXY"
_EXCEPT_VARIABLE: Final = "NO_PROXY"
_USUAL_PORT: Final = 80
_HTTPS_PORT: Final = 443


@dataclass(frozen=True)
class Proxy:
    """
    A proxy of HTTP.

    Attributes:
        host: A name, or an address.
        port: Its port.
        authorization: Value of the header ``Proxy-Authorization``: a secret. Empty: it
            wants no login.

    """

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Name it in sentences."""
        return f"{self.host}:{self.port}"

    @property
    def place(self) -> tuple[str, int]:
        """Where it listens."""
        return self.host, self.port

    @classmethod
    def of(cls, url: str) -> Proxy:
        """
        Read what stands in ``HTTPS_PROXY``: ``http://user:password@host:port``.

        Raises:
            SettingsError: It is no proxy that can be gone through.

        """
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise SettingsError(_WRONG) from None
        if parts.scheme != "http" or not parts.hostname or port == 0:
            raise SettingsError(_WRONG)
        login = ""
        if parts.username is not None:
            text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = f"Basic {base64.b64encode(text.encode()).decode()}"
        return cls(parts.hostname, port or _USUAL_PORT, login)


# The URL may hold a password, and is not shown.
_WRONG: Final = (
    f"{PROXY_VARIABLE}: give http://host:port, or http://user:password@host:port. A proxy "
    "that speaks TLS or SOCKS itself is not gone through; "
    f"{_EXCEPT_VARIABLE} names hosts that need none."
)


@dataclass(frozen=True)
class Route:
    """
    How hosts are reached.

    Attributes:
        proxy_url: The proxy; it may hold a password. None: there is none.
        exceptions: What ``NO_PROXY`` says: hosts that are reached without.

    """

    proxy_url: str | None = field(default=None, repr=False)
    exceptions: str = ""

    def proxy_for(self, host: str, port: int) -> Proxy | None:
        """
        Return the proxy for a host. None: it is reached without one.

        Raises:
            SettingsError: It cannot be gone through.

        """
        if not self.proxy_url or _is_excepted(host, port, self.exceptions):
            return None
        return Proxy.of(self.proxy_url)

    def check(self, url: str) -> None:
        """
        Refuse a proxy that cannot be gone through, if this URL would go through it.

        Raises:
            SettingsError: See `Proxy.of`.

        """
        parts = urlsplit(url)
        if parts.scheme == "https":
            self.proxy_for(parts.hostname or "", parts.port or _HTTPS_PORT)


def route_from(environ: Mapping[str, str]) -> Route:
    """Read the variables as curl and Python do: the one in small letters counts first."""
    proxy, exceptions = (
        environ.get(name.lower()) or environ.get(name) or ""
        for name in (PROXY_VARIABLE, _EXCEPT_VARIABLE)
    )
    return Route(proxy or None, exceptions)


def environment_of(route: Route) -> dict[str, str]:
    """Write the variables for a process that reads them itself."""
    if not route.proxy_url:
        return {}
    return {
        PROXY_VARIABLE.lower(): route.proxy_url,
        _EXCEPT_VARIABLE.lower(): route.exceptions,
    }


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """
    Return whether a host is named: itself, a domain that it is in, a network, or all of them.

    As curl and requests read it; there is no standard.
    """
    host = host.lower().rstrip(".")
    return any(_matches(host, port, one) for one in re.split(r"[,\s]+", exceptions.lower()) if one)


def _matches(host: str, port: int, exception: str) -> bool:
    if exception == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except (ValueError, TypeError):
        pass
    name, colon, only = exception.rpartition(":")
    if colon and only.isdigit() and name.count(":") == 0:
        if int(only) != port:
            return False
        exception = name
    domain = exception.removeprefix("*").strip(".")
    return host == domain or host.endswith(f".{domain}")
