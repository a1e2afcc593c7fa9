"""Settings of a web server; what would be unsafe or cannot be is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backpack._lib.addresses import own_address
from backpack._lib.paths import check_mount_path
from backpack._lib.tls import check_certificate
from backpack._lib.validation import (
    DEFAULT_MAX_VIEWERS,
    HIGHEST_PORT,
    check_max_viewers,
    check_port,
    check_users,
)
from backpack._outputs.serving.settings import from_plain, show, to_plain
from backpack._registry import type_named
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = type_named("web").port

SHORTEST_TOKEN = 16
"""A token is not typed but copied, so it need not be short; guessing one must be hopeless."""

_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{SHORTEST_TOKEN},200}}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]+\]?")

# Paths of the server's own, which a stream cannot have.
_FIRST_PARTS = {"api", "static", "metrics", "healthz", "favicon.ico"}
_LAST_PARTS = {"ws", "whep", "snapshot.jpg", "stream.mjpg"}


def check_stream_path(path: str) -> str:
    """
    Refuse a path that a stream cannot have in a browser.

    Returns:
        The path.

    Raises:
        SettingsError: It has other characters than a URL's own, or is one
            that the server needs for itself.

    """
    parts = check_mount_path(path).split("/")
    if parts[1] in _FIRST_PARTS or _LAST_PARTS.intersection(parts):
        raise SettingsError(
            f"path {path!r}: the server itself answers there. Choose another one, for example "
            "'/front_door'."
        )
    return path


@dataclass(frozen=True)
class WebServerSettings:
    """
    What one web server was asked to be.

    Attributes:
        address: Where it listens, and nowhere else: an IPv4 or IPv6 address
            of this machine, or a name for one.
        port: The TCP port; 0 takes a free one.
        token: Who has it may watch. None: there is none.
        users: Names and passwords, another way in.
        certificate: Path of a PEM file; with it the server speaks HTTPS only.
        key: Path of the certificate's private key, PEM. None: it stands in
            the same file.
        allow_anonymous: Say yes to a server that has neither token nor users.
        allowed_hosts: Names, beside this machine's own, under which browsers
            may ask for it. Without this check a foreign web page could point
            a name of its own here (DNS rebinding).
        max_viewers: How many may watch at a time, all streams together.
        udp_ports: The first and the last UDP port for WebRTC; None: any that
            is free.
        number: What `address` was resolved to, where that has been done. Empty: it has not.

    """

    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    certificate: str | None = None
    key: str | None = None
    allow_anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    max_viewers: int = DEFAULT_MAX_VIEWERS
    udp_ports: tuple[int, int] | None = None
    number: str = ""

    def __repr__(self) -> str:
        return show(self, secret=("token",))

    def validate(self) -> None:
        """
        Refuse what cannot be served, or should not be without being asked for.

        Looks at this machine's addresses and reads the certificate.

        Raises:
            SettingsError: Which setting, why, and what to write instead.

        """
        check_port("port", self.port, lowest=0)
        check_users(self.users)
        if not self.number:
            own_address(self.address)
        check_certificate(self.certificate, self.key)
        self._check_token()
        self._check_hosts()
        _check_udp_ports(self.udp_ports)
        check_max_viewers(self.max_viewers)

    @property
    def secure(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.certificate is not None

    @property
    def is_open(self) -> bool:
        """Whether anybody may watch."""
        return self.token is None and not self.users

    def to_dict(self) -> dict[str, object]:
        """Return the settings as JSON can carry them, secrets in clear: never log it."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> WebServerSettings:
        """
        Make settings from what `to_dict` gave.

        Raises:
            SettingsError: A name is unknown: the two sides differ in version.

        """
        return from_plain(cls, plain, server="a web server")

    def _check_token(self) -> None:
        if self.token is None:
            if not self.users and not self.allow_anonymous:
                raise SettingsError(
                    "There is neither a token nor a user, so anybody who reaches the server could "
                    "watch. Give users={'name': 'password'}, or allow_anonymous=True if that is "
                    "meant."
                )
        elif not isinstance(self.token, str) or not _TOKEN.fullmatch(self.token):
            raise SettingsError(
                f"token: give {SHORTEST_TOKEN} or more letters, digits, '.', '_', '~' and '-', or "
                "None to have one made."
            )

    def _check_hosts(self) -> None:
        if not isinstance(self.allowed_hosts, tuple):
            raise SettingsError(
                f"allowed_hosts={self.allowed_hosts!r}: give a list, for example "
                "['cam.example.org']."
            )
        for host in self.allowed_hosts:
            if not isinstance(host, str) or not _HOST.fullmatch(host):
                raise SettingsError(
                    f"allowed_hosts: {host!r} is no host's name. Give names without scheme and "
                    "port, for example 'cam.example.org'."
                )


def _check_udp_ports(ports: tuple[int, int] | None) -> None:
    if ports is None:
        return
    whole = isinstance(ports, tuple) and all(type(one) is int for one in ports)
    if not whole or len(ports) != 2 or not 0 < ports[0] <= ports[1] <= HIGHEST_PORT:  # noqa: PLR2004
        raise SettingsError(
            f"udp_ports={ports!r}: give the first and the last UDP port that WebRTC may use, for "
            "example (40000, 40100), or None for any that is free."
        )
