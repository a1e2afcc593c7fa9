"""Find the addresses of a host without ever waiting for a name server."""

from __future__ import annotations

import itertools
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Address: TypeAlias = tuple[int, Any]
"""Family and what `socket.socket.connect` takes."""

Lookup: TypeAlias = "Callable[..., list[tuple[Any, ...]]]"
"""What `socket.getaddrinfo` is."""

MOST_ADDRESSES = 8
"""AWS names three or four; each that hangs costs a part of the time for all."""


class Resolver:
    """
    Look names up, each on a thread of its own that nobody waits for.

    The C library may take half a minute for a name when its servers are
    silent, and cannot be interrupted. One thread's, but for the lookup itself.

    Args:
        post: Has something called on the owner's thread.
        lookup: What does the work.

    """

    def __init__(
        self, post: Callable[[Callable[[], None]], None], lookup: Lookup = socket.getaddrinfo
    ) -> None:
        self._post = post
        self._lookup = lookup
        # Lookups that are under way, and who waits for them. A server that
        # hangs is asked once, however often it is tried again.
        self._waiting: dict[tuple[str, int], list[Callable[[list[Address]], None]]] = {}

    def resolve(self, host: str, port: int, then: Callable[[list[Address]], None]) -> None:
        """
        Find a host's addresses.

        Args:
            host: A name, or an address.
            port: The port.
            then: Called on the owner's thread with what was found, which may
                be nothing: at once for an address.

        """
        literal = _literal(host, port)
        if literal is not None:
            then([literal])
            return
        waiting = self._waiting.setdefault((host, port), [])
        waiting.append(then)
        if len(waiting) > 1:
            return
        threading.Thread(
            target=self._run, args=(host, port), name="spyglass-kvs-name", daemon=True
        ).start()

    def _run(self, host: str, port: int) -> None:
        try:
            found = self._lookup(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        addresses = _interleave([(int(one[0]), one[4]) for one in found])
        self._post(lambda: self._done(host, port, addresses))

    def _done(self, host: str, port: int, addresses: list[Address]) -> None:
        for then in self._waiting.pop((host, port), []):
            then(addresses)


def _literal(host: str, port: int) -> Address | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return int(family), (host, port)
    return None


def _interleave(addresses: list[Address]) -> list[Address]:
    """Let families take turns (RFC 8305, 4): often all of one lead nowhere."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    pairs = itertools.zip_longest(first, others)
    return [one for pair in pairs for one in pair if one is not None][:MOST_ADDRESSES]
