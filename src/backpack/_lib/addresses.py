"""Decide whether an address is one of this machine's, and how wide it opens the door."""

from __future__ import annotations

import errno
import ipaddress
import socket

from backpack.errors import SettingsError


def own_address(address: str) -> str:
    """
    Turn an address or a name of this machine into the number to listen on.

    Args:
        address: An IPv4 or IPv6 literal, or a name such as ``localhost``.

    Raises:
        SettingsError: It cannot be resolved, or belongs to another machine.

    """
    if not isinstance(address, str) or not address.strip():
        raise SettingsError(
            f"address={address!r}: give the address to listen on, for example '127.0.0.1'; "
            "'0.0.0.0' listens on every IPv4 address of this machine."
        )
    if "%" in address:
        raise SettingsError(
            f"address={address!r}: an address with a zone cannot be listened on. "
            "Give one without, for example '::1' or '127.0.0.1'."
        )
    numbers = _resolve(address)
    for number in numbers:
        if _can_be_bound(number):
            return number
    raise SettingsError(
        f"address={address!r} is not an address of this machine, so nothing can listen there. "
        "Give one that `ip address` shows, or push to that machine with rtsp+push:// instead."
    )


def is_number(address: str) -> bool:
    """Return whether an address is a literal, which needs no name server."""
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return True


def is_wildcard(number: str) -> bool:
    """Return whether the number stands for every address of this machine."""
    return ipaddress.ip_address(number).is_unspecified


def is_loopback(number: str) -> bool:
    """Return whether only this machine itself can reach the number."""
    return ipaddress.ip_address(number).is_loopback


def for_url(address: str) -> str:
    """Write an address as URLs want it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _resolve(address: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(address.strip("[]")))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(
            f"address={address!r} cannot be resolved ({error}). Give an address of this machine, "
            "for example '127.0.0.1'."
        ) from error
    # IPv4 first: it is what a player is told most often.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return [str(entry[4][0]) for entry in found if "%" not in str(entry[4][0])]


def _can_be_bound(number: str) -> bool:
    family = socket.AF_INET6 if ":" in number else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((number, 0))
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL):
            return False
        raise SettingsError(f"address={number!r} cannot be listened on: {error}.") from error
    return True
