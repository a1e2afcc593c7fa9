"""Stream to the strict local server, and read what has arrived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack.kvs import KVSCredentialsHandler, KVSSpyGlass
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.signature import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.apps import Putter
    from tests.end_to_end.conftest import Stage
    from tests.kvs_server.server import KVSServer
    from tests.kvs_server.streams import Stream

__all__ = ["REGION", "ShortLived", "arrived", "is_streaming", "kvs", "taken"]

REGION = "us-east-1"


def kvs(stage: Stage, **settings: Any) -> KVSSpyGlass:
    """Give a SpyGlass that streams to 'test' in fragments of a second."""
    made = KVSSpyGlass(REGION, "test", **{"fragment_seconds": 1.0, "required": True, **settings})
    stage.finally_do(made.stop_streaming)
    made.start_streaming()
    return made


def arrived(stream: Stream) -> list[int | None]:
    """Give the numbers of the frames in the final timeline, of which nothing overlaps."""
    assert stream.overlaps() == []
    assert stream.complaints == []
    return frame_numbers(stream.timeline())


def taken(putter: Putter) -> set[int]:
    """Give the numbers of the frames that put() has taken."""
    return {number for number, put in putter.puts.items() if put.taken}


def is_streaming(spyglass: KVSSpyGlass) -> bool:
    """Tell whether it is connected, and something has arrived."""
    stats = spyglass.kvs_stats()
    return stats.state == "STREAMING" and stats.fragments_persisted > 0


class ShortLived(KVSCredentialsHandler):
    """
    Credentials that run out soon, others each time; the server takes no others.

    Args:
        server: Who is told of them.
        lasts: Seconds.

    """

    def __init__(self, server: KVSServer, lasts: float) -> None:
        super().__init__()
        self._keys = server.keys
        self._keys.clear()
        self._lasts = lasts
        self._numbers: Iterator[int] = iter(range(1, 10_000))

    def get_credentials(self) -> Credentials:
        """Make new ones."""
        number = next(self._numbers)
        expires_at = time.time() + self._lasts
        key, secret, token = f"ASIA{number:016}", f"secret{number}", f"token{number}"
        self._keys[key] = Key(secret, token, expires_at)
        return Credentials.of(key, secret, token, expires_at)
