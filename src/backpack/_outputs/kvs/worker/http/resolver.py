"""Find the addresses of a host without ever waiting for a name server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import itertools
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Address: TypeAlias = tuple[int, tuple[Any, ...]]
"""Family and what `socket.socket.connect` takes."""

Lookup: TypeAlias = "Callable[..., list[tuple[Any, ...]]]"
"""What `socket.getaddrinfo` is."""

MOST_ADDRESSES = 8
"""AWS names three or four; each that hangs costs a part of the time for all."""


class Resolver:
    """
    Look names up, each on a thread of its own that nobody waits for.

    The C library may take half a minute for a name when its servers are
    silent, and cannot be interrupted. asyncio's own threads for this are
    waited for when the process ends.

    Args:
        loop: Its thread calls everything but the lookup itself.
        lookup: What does the work.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lookup: Lookup | None = None) -> None:
        self._loop = loop
        self._lookup = lookup or socket.getaddrinfo
        # Lookups that are under way. A server that hangs is asked once,
        # however often the connection is tried again.
        self._looking: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """
        Return the addresses of a host, the best first; at once for an address.

        Raises:
            socket.gaierror: There are none.
            OSError: No thread is left to look.

        """
        with contextlib.suppress(ValueError):
            is_old = ipaddress.ip_address(host).version == 4  # noqa: PLR2004 - of IP
            return [(int(socket.AF_INET if is_old else socket.AF_INET6), (host, port))]
        place = (host, port)
        if place not in self._looking:
            thread = threading.Thread(
                target=self._run, args=place, name="spyglass-kvs-name", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from error
            # Its answer comes by this loop, and so not before this is there.
            self._looking[place] = self._loop.create_future()
        # Others may wait for the same answer.
        found = await asyncio.shield(self._looking[place])
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    def _run(self, host: str, port: int) -> None:
        try:
            found = self._lookup(host, port, type=socket.SOCK_STREAM)
        except Exception:  # noqa: BLE001 - without an answer the name would be waited for for good
            found = []
        addresses = _interleave([(int(one[0]), one[4]) for one in found])
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._found, (host, port), addresses)

    def _found(self, place: tuple[str, int], addresses: list[Address]) -> None:
        self._looking.pop(place).set_result(addresses)


def _interleave(addresses: list[Address]) -> list[Address]:
    """Let families take turns (RFC 8305, 4): often all of one lead nowhere."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    pairs = itertools.zip_longest(first, others)
    return [one for pair in pairs for one in pair if one is not None][:MOST_ADDRESSES]
