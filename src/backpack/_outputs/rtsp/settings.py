"""Settings of an RTSP server; what would be unsafe or cannot be is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backpack._lib.addresses import is_loopback, is_wildcard, own_address
from backpack._lib.tls import check_certificate
from backpack._lib.validation import (
    DEFAULT_MAX_VIEWERS,
    check_max_viewers,
    check_port,
    check_users,
)
from backpack._outputs.serving.settings import from_plain, show, to_plain
from backpack._registry import type_named
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = type_named("rtsp").port


@dataclass(frozen=True)
class RTSPServerSettings:
    """
    What one RTSP server was asked to be.

    Attributes:
        address: Where it listens, and nowhere else: an IPv4 or IPv6 address
            of this machine, or a name for one. ``0.0.0.0`` is every IPv4
            address, ``::`` every address.
        port: The TCP port; 0 takes a free one.
        users: Names and passwords. Empty: everyone may watch.
        certificate: Path of a PEM file; with it the server speaks RTSPS only.
        key: Path of the certificate's private key, PEM. None: it stands in
            the same file.
        rtp_ports: Lowest and highest UDP port for video. None: any.
        allow_anonymous: Say yes to listening beyond this machine without users.
        max_viewers: How many may watch at a time, all streams together.
        number: What `address` was resolved to, where that has been done. Empty: it has not.

    """

    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    users: Mapping[str, str] = field(default_factory=dict)
    certificate: str | None = None
    key: str | None = None
    rtp_ports: tuple[int, int] | None = None
    allow_anonymous: bool = False
    max_viewers: int = DEFAULT_MAX_VIEWERS
    number: str = ""

    def __repr__(self) -> str:
        return show(self)

    def validate(self) -> None:
        """
        Refuse what cannot be served, or should not be without being asked for.

        Looks at this machine's addresses and reads the certificate.

        Raises:
            SettingsError: Which setting, why, and what to write instead.

        """
        check_port("port", self.port, lowest=0)
        check_users(self.users)
        self._check_rtp_ports()
        number = self.number or own_address(self.address)
        if not is_loopback(number) and not self.users and not self.allow_anonymous:
            reach = "every address of this machine" if is_wildcard(number) else "the network"
            raise SettingsError(
                f"address={self.address!r} would show the video to anyone who reaches {reach}. "
                "Give users={'name': 'password'}, or allow_anonymous=True if that is meant."
            )
        check_certificate(self.certificate, self.key)
        check_max_viewers(self.max_viewers)

    @property
    def secure(self) -> bool:
        """Whether the server speaks RTSPS."""
        return self.certificate is not None

    def to_dict(self) -> dict[str, object]:
        """Return the settings as JSON can carry them, passwords in clear: never log it."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> RTSPServerSettings:
        """
        Make settings from what `to_dict` gave.

        Raises:
            SettingsError: A name is unknown: the two sides differ in version.

        """
        return from_plain(cls, plain, server="an RTSP server")

    def _check_rtp_ports(self) -> None:
        if self.rtp_ports is None:
            return
        if not isinstance(self.rtp_ports, (tuple, list)) or len(self.rtp_ports) != 2:  # noqa: PLR2004 - a pair
            raise SettingsError(
                f"rtp_ports={self.rtp_ports!r}: give the lowest and the highest port, "
                "for example (50000, 50099)."
            )
        low, high = self.rtp_ports
        check_port("rtp_ports", low, lowest=1)
        check_port("rtp_ports", high, lowest=1)
        # RFC 3550, 11: RTP takes an even port, RTCP the one above it.
        if low + low % 2 + 1 > high:
            raise SettingsError(
                f"rtp_ports={self.rtp_ports!r} holds no even port with the odd one above it. "
                "Give two ports for each mount that is watched, for example (50000, 50099)."
            )
