"""
Connect to whichever of a host's addresses answers first.

asyncio does so, too (``happy_eyeballs_delay``), but that of Python 3.11 loses a socket that has
just connected when it is cancelled, and gives the errors of several addresses as one text.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._outputs.kvs.worker.http.resolver import Address

NEXT_SECONDS = 0.25
"""After which the next address is tried as well (RFC 8305, 5)."""

SEND_BUFFER_BYTES = 128 * 1024
"""The kernel doubles it. 25 Mbit/s over 80 ms; more would only hide how far behind we are."""


async def dial(loop: asyncio.AbstractEventLoop, addresses: Sequence[Address]) -> socket.socket:
    """
    Return a socket that is connected to one of the addresses.

    Raises:
        OSError: None answers. It is the last one's error.

    """
    left = list(addresses)
    tasks: set[asyncio.Task[socket.socket]] = set()
    trying: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("no address")
    try:
        while left or trying:
            if left:
                task = loop.create_task(_connect(loop, *left.pop(0)))
                tasks.add(task)
                trying.add(task)
            done, trying = await asyncio.wait(
                trying,
                timeout=NEXT_SECONDS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                error = task.exception() or error
                if task.exception() is None:
                    tasks.remove(task)
                    return task.result()
        raise error
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(_drop)


async def _connect(
    loop: asyncio.AbstractEventLoop, family: int, address: tuple[Any, ...]
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0.0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _drop(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
