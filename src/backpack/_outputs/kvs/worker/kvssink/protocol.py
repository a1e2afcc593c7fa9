"""
Write and read what the streaming process and the child of kvssink tell each other.

One socket between them. Pictures and orders go to the child as a head of fixed size and
their bytes; what the child says comes back as lines of JSON.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEAD: Final = struct.Struct("!BQI")
_LARGEST: Final = 64 * 1024 * 1024
_LONGEST_LINE: Final = 64 * 1024


class Kind(enum.IntEnum):
    """What a part is."""

    BEGIN = 1
    """The properties, and what the video is."""
    KEY = 2
    """A picture that decoding can start at."""
    DELTA = 3
    """Another one."""
    END = 4
    """Deliver what there is, and end."""


def order(kind: Kind, body: Mapping[str, Any]) -> bytes:
    """Write an order to the child."""
    data = json.dumps(body).encode()
    return _HEAD.pack(kind, 0, len(data)) + data


def picture(wall_ns: int, payload: bytes, *, key: bool) -> bytes:
    """Write a picture: its NAL units with their lengths, and its time since the epoch."""
    return _HEAD.pack(Kind.KEY if key else Kind.DELTA, wall_ns, len(payload)) + payload


def say(word: str, **more: object) -> bytes:
    """Write what the child says."""
    return json.dumps({"is": word, **more}).encode() + b"\n"


class PartReader:
    """Put together what comes in, on the child's side."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, int, bytes]]:
        """
        Return what is whole by now: kind, time and bytes.

        Raises:
            ValueError: This is no such talk.

        """
        self._data += data
        while len(self._data) >= _HEAD.size:
            kind, wall_ns, size = _HEAD.unpack_from(self._data)
            if size > _LARGEST:
                raise ValueError(f"{size} bytes are no picture.")
            end = _HEAD.size + size
            if len(self._data) < end:
                return
            body = bytes(self._data[_HEAD.size : end])
            del self._data[:end]
            yield Kind(kind), wall_ns, body


class LineReader:
    """Put together what the child says, on the streaming process's side."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return what it has said; what is none of its words is left out."""
        *lines, self._data = (self._data + data).split(b"\n")
        self._data = self._data[-_LONGEST_LINE:]
        found = []
        for line in lines:
            try:
                word = json.loads(line)
            except ValueError:
                continue
            if isinstance(word, dict) and "is" in word:
                found.append(word)
        return found
