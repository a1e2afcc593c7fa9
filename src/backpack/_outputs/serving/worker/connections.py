"""Count the connections of one server, and decide which may stay."""

from __future__ import annotations

import ipaddress
import resource
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT_DESCRIPTORS: Final = 256
"""For whatever else the process does: outputs, encoders, the libraries' threads."""

_FEWEST: Final = 8


@dataclass(frozen=True)
class ConnectionLimits:
    """
    How many connections there may be.

    Attributes:
        total: All together.
        per_network: From one IPv4 address, or from one /64 of IPv6, which is what
            one customer has. Not for this machine's own: behind a tunnel or a proxy
            every viewer comes from there.
        descriptors: What each takes. Where the process may not open as many, there
            may be fewer connections.

    """

    total: int = 512
    per_network: int = 64
    descriptors: int = 1

    def allowed(self) -> int:
        """Return how many there may be under this process's limit of descriptors."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self.total
        # Half of the rest: there may be a server for pages beside the one for players.
        spare = (soft - _KEPT_DESCRIPTORS) // (2 * self.descriptors)
        return min(self.total, max(_FEWEST, spare))


@dataclass(eq=False)
class Connection:
    """
    One connection that was let in. The attributes may be set on any thread.

    Attributes:
        address: Where it comes from.
        close: Ends it. Called while connections are counted: it must not block, and
            must not call back.
        is_idle: Whether nothing that it asked for goes on: it may have to make room.
        has_asked: Whether it ever asked for something.
        is_logged_in: Whether it has shown that it may.
        refused: How many of its logins were not looked at.
        is_closed: Whether it has ended.

    """

    address: str
    close: Callable[[], None]
    is_idle: bool = True
    has_asked: bool = False
    is_logged_in: bool = False
    refused: int = 0
    is_closed: bool = False

    @property
    def network(self) -> str:
        """What it is counted with."""
        return network_of(self.address)

    def begin(self) -> None:
        """Note that it has asked for something, which goes on."""
        self.has_asked = True
        self.is_idle = False

    def end(self) -> None:
        """Note that nothing goes on any more."""
        self.is_idle = True


class Connections:
    """
    Count the connections of one server. Any thread.

    Who waits is worth less than who comes: where there are too many, the one that has
    been connected longest without asking for anything is closed. So idle connections,
    however many somebody opens, keep nobody out, and no health check.

    Args:
        limits: How many there may be.

    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._all: list[Connection] = []

    def admit(self, address: str, close: Callable[[], None]) -> Connection | None:
        """
        Count a connection in, and close another one if there must be room.

        Args:
            address: Where it comes from.
            close: Ends it; see `Connection`.

        Returns:
            None: there are too many, and all of them are in use.

        """
        network = network_of(address)
        with self._lock:
            self._all = [one for one in self._all if not one.is_closed]
            theirs = [one for one in self._all if one.network == network]
            if len(theirs) >= self._limits.per_network and not is_own(address):
                found = self._make_room(theirs)
            elif len(self._all) >= self._limits.allowed():
                found = self._make_room(self._all)
            else:
                found = True
            if not found:
                return None
            connection = Connection(address, close)
            self._all.append(connection)
            return connection

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            for one in self._all:
                one.close()
            self._all = []

    def __len__(self) -> int:
        with self._lock:
            return sum(not one.is_closed for one in self._all)

    def _make_room(self, among: list[Connection]) -> bool:
        idle = [one for one in among if one.is_idle]
        if not idle:
            return False
        # The first of those that never asked, else of all: they stand in order of arrival.
        oldest = min(idle, key=lambda one: one.has_asked)
        oldest.is_closed = True
        oldest.close()
        self._all.remove(oldest)
        return True


def network_of(address: str) -> str:
    """Return the network that an address is counted with: itself, or the /64 of an IPv6 one."""
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(number, ipaddress.IPv4Address):
        return str(number)
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    if number.is_loopback:
        return str(number)
    return str(ipaddress.IPv6Network((number, 64), strict=False))


def is_own(address: str) -> bool:
    """Return whether an address is one of this machine's loopback addresses."""
    try:
        return ipaddress.ip_address(network_of(address)).is_loopback
    except ValueError:
        return False
