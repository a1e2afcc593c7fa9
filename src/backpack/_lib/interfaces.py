"""The addresses at which clients reach a server that listens on one, or on all."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys

from backpack._lib.addresses import is_wildcard, own_address

_SIOCGIFADDR = 0x8915  # netdevice(7): get the address of an interface
_IFREQ = struct.Struct("16s16x")
_ADDRESS_AT = 20


def reachable_addresses(address: str) -> list[str]:
    """
    Return the addresses that lead to a server on ``address``.

    One that is named stands for itself. For all of them: those of every
    interface, the loopback first.
    """
    number = own_address(address)
    if not is_wildcard(number):
        return [number]
    return ["::1" if ":" in number else "127.0.0.1", *_outer_addresses()]


def _outer_addresses() -> list[str]:
    """List the IPv4 addresses of all interfaces but the loopback."""
    if sys.platform != "linux":
        return []
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, _IFREQ.pack(name.encode()))
                found.append(socket.inet_ntoa(answer[_ADDRESS_AT : _ADDRESS_AT + 4]))
    return [number for number in found if not number.startswith("127.")]
