"""Hold what an RTSP server was asked to be, and refuse what would be unsafe or cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from backpack.errors import SettingsError
from backpack.rtsp.addresses import is_loopback, is_wildcard, own_address

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_PORT", "RTSPServerSettings", "check_mount_path"]

DEFAULT_PORT = 8554
"""The one that players and tutorials know; 554 is for root."""

HIGHEST_PORT = 65535

_MOUNT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_LONGEST_PATH = 200


def check_mount_path(path: str) -> str:
    """
    Refuse a mount path that players could not ask for.

    Returns:
        The path.

    Raises:
        SettingsError: It does not start with a slash, ends with one, or has
            characters that URLs would have to escape.

    """
    fits = isinstance(path, str) and len(path) <= _LONGEST_PATH and _MOUNT_PATH.fullmatch(path)
    if not fits or any(part in (".", "..") for part in path.split("/")):
        raise SettingsError(
            f"mount path {path!r}: give one that starts with a slash, has letters, digits, "
            "'.', '_', '~' and '-' after it, and does not end with a slash, "
            "for example '/front_door'."
        )
    return path


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

    """

    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    users: Mapping[str, str] = field(default_factory=dict)
    certificate: str | None = None
    key: str | None = None
    rtp_ports: tuple[int, int] | None = None
    allow_anonymous: bool = False

    def __repr__(self) -> str:
        # Whoever logs the settings must not log a password.
        masked = dict.fromkeys(self.users, "***")
        return (
            f"{type(self).__name__}(address={self.address!r}, port={self.port!r}, "
            f"users={masked!r}, certificate={self.certificate!r}, key={self.key!r}, "
            f"rtp_ports={self.rtp_ports!r}, allow_anonymous={self.allow_anonymous!r})"
        )

    def validate(self) -> None:
        """
        Refuse what cannot be served, or should not be without being asked for.

        Looks at this machine's addresses and reads the certificate.

        Raises:
            SettingsError: Which setting, why, and what to write instead.

        """
        _check_port("port", self.port, lowest=0)
        self._check_users()
        self._check_rtp_ports()
        number = own_address(self.address)
        if not is_loopback(number) and not self.users and not self.allow_anonymous:
            reach = "every address of this machine" if is_wildcard(number) else "the network"
            raise SettingsError(
                f"address={self.address!r} would show the video to anyone who reaches {reach}. "
                "Give users={'name': 'password'}, or allow_anonymous=True if that is meant."
            )
        if self.key is not None and self.certificate is None:
            raise SettingsError("key= was given without certificate=. Give both, as PEM files.")
        if self.certificate is not None:
            _check_certificate(self.certificate, self.key)

    @property
    def secure(self) -> bool:
        """Tell whether the server speaks RTSPS."""
        return self.certificate is not None

    def to_dict(self) -> dict[str, object]:
        """Give the settings as JSON can carry them, passwords in clear: never log it."""
        plain: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        plain["users"] = dict(self.users)
        plain["rtp_ports"] = None if self.rtp_ports is None else list(self.rtp_ports)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> RTSPServerSettings:
        """
        Make settings from what `to_dict` gave.

        Raises:
            SettingsError: A name is unknown: the two sides differ in version.

        """
        unknown = sorted(set(plain) - {one.name for one in fields(cls)})
        if unknown:
            raise SettingsError(f"unknown settings of an RTSP server: {', '.join(unknown)}.")
        given = dict(plain)
        ports = given.get("rtp_ports")
        if isinstance(ports, list):
            given["rtp_ports"] = tuple(ports)
        return cls(**given)  # type: ignore[arg-type]  # validate() checks every value

    def _check_users(self) -> None:
        for name, password in self.users.items():
            # RFC 7616: the name ends at a colon, and stands in a quoted header.
            if not isinstance(name, str) or not name or not _is_plain(name, forbidden=':"\\'):
                raise SettingsError(
                    f"users: the name {name!r} cannot be used. Give letters, digits and signs, "
                    "but no colon, quote or backslash."
                )
            if not isinstance(password, str) or not password or not _is_plain(password):
                raise SettingsError(
                    f"users: the password of {name!r} is empty or has line breaks. "
                    "Give one that can be typed."
                )

    def _check_rtp_ports(self) -> None:
        if self.rtp_ports is None:
            return
        if not isinstance(self.rtp_ports, (tuple, list)) or len(self.rtp_ports) != 2:  # noqa: PLR2004 - a pair
            raise SettingsError(
                f"rtp_ports={self.rtp_ports!r}: give the lowest and the highest port, "
                "for example (50000, 50099)."
            )
        low, high = self.rtp_ports
        _check_port("rtp_ports", low, lowest=1)
        _check_port("rtp_ports", high, lowest=1)
        # RFC 3550, 11: RTP takes an even port, RTCP the one above it.
        if low + low % 2 + 1 > high:
            raise SettingsError(
                f"rtp_ports={self.rtp_ports!r} holds no even port with the odd one above it. "
                "Give two ports for each mount that is watched, for example (50000, 50099)."
            )


def _is_plain(text: str, forbidden: str = "") -> bool:
    return text.isprintable() and not any(sign in text for sign in forbidden)


def _check_port(name: str, value: object, *, lowest: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not lowest <= value <= HIGHEST_PORT:  # type: ignore[operator]
        raise SettingsError(f"{name}={value!r}: give a port from {lowest} to {HIGHEST_PORT}.")


def _check_certificate(certificate: str, key: str | None) -> None:
    for name, path in (("certificate", certificate), ("key", key)):
        if path is not None:
            _check_pem(name, path)
    # Costs 10 ms to import; only those who serve RTSPS pay.
    import ssl  # noqa: PLC0415

    where = f"certificate={certificate!r}" + ("" if key is None else f" and key={key!r}")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Without a password function OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingsError(f"{where} cannot be used: {_explain_tls(error)}.") from error


def _check_pem(name: str, path: str) -> None:
    try:
        text = Path(path).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        raise SettingsError(f"{name}={path!r} cannot be read: {error}. Give a PEM file.") from error
    if b"-----BEGIN " not in text:
        raise SettingsError(
            f"{name}={path!r} is not a PEM file. Give one that has a line '-----BEGIN …'."
        )


def _explain_tls(error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if "KEY_VALUES_MISMATCH" in reason or "KEY_TYPE_MISMATCH" in reason:
        return "the key is not the certificate's. Give the key it was made with"
    if "BAD_DECRYPT" in reason or "BAD_PASSWORD" in reason or "PROBLEMS_GETTING" in reason:
        return "the key is encrypted. Give one without a passphrase, readable by you alone"
    return f"{error}. Give a PEM certificate, and its private key in the same file or as key="
